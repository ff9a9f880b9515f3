"""Print what happens to your orders and balances, on a practice exchange with an account of its own.

    python examples/order_updates.py

It needs no key and no network. For your own account leave out the exchange and the account, set LBANK_API_KEY and
LBANK_API_SECRET (see .env.example), and write `client = LBankClient()`.
"""

from lbank_ws import Credentials, LBankClient
from lbank_ws.sandbox import Sandbox
from lbank_ws.trading.account import AccountRest
from lbank_ws.trading.ticket import order_request

with Sandbox(pairs=["btc_usdt"]) as box:
    box.add_account("practice-key", "practice-secret", balances={"usdt": "1000"})
    credentials = Credentials("practice-key", "practice-secret")
    client = LBankClient(url=box.url, rest_url=box.rest_url, credentials=credentials)

    @client.on_order("btc_usdt")
    def order(update):
        print(update.source, update.side, update.order_type, update.status, update.filled, update.fill, flush=True)

    @client.on_balance
    def balance(update):
        print(update.source, update.asset, update.free, "free", update.locked, "locked", update.cause, flush=True)

    @client.on_status
    def trade(status):
        if status.kind == "live" and status.topic.channel == "order":
            market_buy = order_request("btc_usdt", "buy", "market", value="100", client_id="first")
            AccountRest(box.rest_url, credentials).create(market_buy)

    client.run()  # until Ctrl-C
