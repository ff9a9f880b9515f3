"""Follow several pairs and channels at once, and hear of drops and faults.

    python examples/several_pairs.py

Without a network: run `lbank-ws sandbox` in another terminal and set the two variables that it prints.
"""

from lbank_ws import LBankClient

PAIRS = ["btc_usdt", "eth_usdt", "sol_usdt"]
client = LBankClient()


@client.on_ticker(*PAIRS)
def price(ticker):
    print(f"{ticker.pair}: {ticker.last}", flush=True)


@client.on_kline(*PAIRS, interval="1min")
def bar(kline):
    print(f"{kline.pair}: {kline.opened_at:%H:%M} from {kline.open} to {kline.close}", flush=True)


@client.on_status
def report(status):
    print(f"{status.topic or 'the line'}: {status.kind}", status.cause or "", flush=True)


@client.on_error
def fault(error):
    print("fault:", error, flush=True)


client.run()  # until Ctrl-C
