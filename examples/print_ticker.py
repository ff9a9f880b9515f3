"""Print the price of two pairs as it changes.

    python examples/print_ticker.py

Without a network: run `lbank-ws sandbox` in another terminal and set the two variables that it prints.
"""

from lbank_ws import LBankClient

client = LBankClient()


@client.on_ticker("btc_usdt", "eth_usdt")
def show(ticker):
    print(ticker.pair, ticker.last, ticker.volume, flush=True)


client.run()  # until Ctrl-C
