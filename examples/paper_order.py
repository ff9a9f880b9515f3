"""Buy on paper at the live book, and see it filled. It costs nothing and needs no key.

    lbank-ws sandbox                                                    in one terminal
    LBANK_WS_URL=ws://127.0.0.1:8765 LBANK_REST_URL=http://127.0.0.1:8765 python examples/paper_order.py

Without the variables it trades at LBank's own live book, on paper all the same.
"""

from lbank_ws import LBankClient, Paper

client = LBankClient(account="paper", paper=Paper(balances={"usdt": "1000"}))


@client.on_order("btc_usdt")
def order(update):
    print(update.side, update.order_type, update.status, update.filled, update.average_price, flush=True)


@client.on_balance
def balance(update):
    print(update.asset, update.free, "free", update.locked, "locked", flush=True)


@client.on_status
def trade(status):
    if status.kind == "live" and status.topic.channel == "depth":
        print("placed", client.orders.buy("btc_usdt", value="100").order_id, flush=True)


client.subscribe("depth", "btc_usdt")  # orders on paper meet this book
client.run()  # until Ctrl-C
