"""What the REST interface answers at addresses that LBank has replaced, where a client in wide use still asks them.

Decided here: the names of before 2022. Source: a capture of 2022 in ccxt, which asks this address to this day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

from lbank_ws.sandbox.desk import order_type
from lbank_ws.sandbox.rest_signed import SignedRequest, transaction_history
from lbank_ws.sandbox.rest_text import Number

_NEW_NAMES = {"start_date": "startTime", "end_date": "endTime", "from": "fromId", "size": "limit"}


def old_transactions(request: SignedRequest) -> object:
    """The fills of a pair; `start_date` and `end_date` are days on the clock of UTC+8."""
    account = request.account
    asked = {_NEW_NAMES.get(name, name): given for name, given in request.asked.items()}
    rows = cast("list[Mapping[str, Any]]", transaction_history(replace(request, asked=asked)))
    rate = Decimal(account.fee.numerator) / account.fee.denominator
    return [
        {
            "orderUuid": row["orderId"],
            "tradeFeeRate": Number(f"{rate:f}"),
            "dealTime": row["time"],
            "dealQuantity": Number(row["qty"]),
            "tradeFee": Number(row["commission"]),
            "txUuid": row["id"],
            "dealPrice": Number(row["price"]),
            "dealVolumePrice": Number(row["quoteQty"]),
            "tradeType": order_type(account.orders[row["orderId"]]),
        }
        for row in rows
    ]
