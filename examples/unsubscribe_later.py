"""Leave one pair after ten prices and go on with the other.

    python examples/unsubscribe_later.py

Without a network: run `lbank-ws sandbox` in another terminal and set the two variables that it prints.
"""

from lbank_ws import LBankClient

client = LBankClient()
client.subscribe("ticker", "btc_usdt")
client.subscribe("ticker", "eth_usdt")
seen = {"btc_usdt": 0, "eth_usdt": 0}


@client.on_ticker
def show(ticker):
    seen[ticker.pair] += 1
    print(ticker.pair, seen[ticker.pair], ticker.last, flush=True)
    if seen["btc_usdt"] == 10:
        client.unsubscribe("ticker", "btc_usdt")


client.run()  # until Ctrl-C
