"""Sign a request of LBank's REST interface, and send it to a practice exchange.

    python examples/sign_a_request.py

It needs no key and no network. Your own key comes from LBANK_API_KEY and LBANK_API_SECRET: `Credentials.from_env()`.
"""

import time

import requests

from lbank_ws import Credentials
from lbank_ws.sandbox import Sandbox
from lbank_ws.signer import new_nonce, signed_request

credentials = Credentials("practice-key-0123", "practice-secret")
print(credentials)  # nothing of the secret

asked = {"symbol": "btc_usdt", "type": "buy", "price": "1000", "amount": "0.01"}
request = signed_request(asked, credentials, int(time.time() * 1000), new_nonce())
print(request)

with Sandbox(pairs=["btc_usdt"]) as box:
    box.add_account("practice-key-0123", "practice-secret", balances={"usdt": "1000"})
    path = box.rest_url + "/v2/supplement/create_order_test.do"  # checked, and not placed
    answer = requests.post(path, data=request.body, headers=request.headers, timeout=5)
    print(answer.json()["msg"], answer.json()["data"]["symbol"], flush=True)
