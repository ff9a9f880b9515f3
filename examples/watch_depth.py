"""Print the best bid, the best ask and the spread at each change of the book.

    python examples/watch_depth.py

Without a network: run `lbank-ws sandbox` in another terminal and set the two variables that it prints.
"""

from lbank_ws import LBankClient

client = LBankClient()


@client.on_depth("btc_usdt", levels=10)
def show(depth):
    if not depth.bids or not depth.asks:
        print(depth.pair, "has an empty side", flush=True)
        return
    bid, ask = depth.best_bid, depth.best_ask
    print(f"{depth.pair}  {bid.amount} @ {bid.price}  |  {ask.price} @ {ask.amount}  spread {depth.spread}", flush=True)


client.run()  # until Ctrl-C
