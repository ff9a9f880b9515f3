"""Write trades to a CSV file, each price and amount exactly as the exchange printed it.

    python examples/trades_to_csv.py trades.csv

Without a network: run `lbank-ws sandbox` in another terminal and set the two variables that it prints.
"""

import csv
import sys

from lbank_ws import LBankClient

path = sys.argv[1] if len(sys.argv) > 1 else "trades.csv"
client = LBankClient()

with open(path, "a", newline="", encoding="utf-8") as file:
    rows = csv.writer(file)
    if file.tell() == 0:
        rows.writerow(["traded_at", "pair", "price", "amount", "side"])

    @client.on_trade("btc_usdt", "eth_usdt")
    def write(trade):
        rows.writerow([trade.traded_at.isoformat(), trade.pair, trade.price, trade.amount, trade.side])
        file.flush()
        print(trade.pair, trade.side, trade.amount, "at", trade.price, flush=True)

    client.run()  # until Ctrl-C
