"""Print the latest price and the 24 h volume through the protocol of the published guide.

    python examples/simple_dialect.py

Without a network: run `lbank-ws sandbox` in another terminal and set the two variables that it prints.
"""

from lbank_ws import LBankClient

client = LBankClient(dialect="simple")


@client.on_ticker("btc_usdt")
def show(ticker):
    print(f"Latest price: {ticker.last}, 24h volume: {ticker.volume}", flush=True)


client.run()  # until Ctrl-C
