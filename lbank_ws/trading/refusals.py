"""What the exchange's numbers mean for somebody who has to do something about them.

Decided here: which class a refusal becomes, what is advised, and which numbers prove that an order was not placed.
Source: docs/reference/wire.md, "REST".
"""

from __future__ import annotations

from lbank_ws.errors import RestFailed
from lbank_ws.trading_errors import CredentialsRefused, RestRefused

CLOCK = 10600
NO_SUCH_ORDER = 10032
SAME_ID = 10036
NOT_TRADABLE = 10008

_CREATING = ("/v2/supplement/create_order.do", "/v2/supplement/create_order_test.do")
_CLOSED = (
    "LBank lets ordinary accounts place no orders through its API since 2025, on nearly no pair; reading works. "
    "Ask LBank's support, or use account='paper'"
)
_CREDENTIALS = {
    10005: "the exchange does not know this API key: check LBANK_API_KEY; a key without a bound IP address ends after "
    "30 days",
    10006: "the exchange does not know this user: check LBANK_API_KEY",
    10007: "the signature does not fit: check LBANK_API_SECRET, and that LBANK_SIGNATURE_METHOD is that of the key",
    10022: "the key may not do this, or not from this IP address: check its permissions and addresses at LBank",
    10067: "the account may not do this: ask LBank's support",
    10203: "the key was made for the other signature method: set LBANK_SIGNATURE_METHOD",
    10205: "LBank does not serve the country that this call comes from",
}
_ADVICE = {
    10004: "call less often",
    10008: "check the spelling of the pair and that LBank still lists it",
    10010: "price or amount is below the least of the pair: see `orders.rules(pair)`",
    10013: "the amount is below the least of the pair: see `orders.rules(pair)`",
    10014: "there is not enough of the currency that pays",
    10016: "there is not enough of the currency that pays",
    10020: "the value is below the least of a market order",
    10025: "it was filled before it could be cancelled",
    10026: "it is cancelled already",
    10032: "no order of this account has that id on that pair",
    10036: "an order with this id exists; look it up",
    10116: "the exchange is being upgraded; try later",
    10126: "the value is below the least of the pair",
    10127: "the amount has more decimal places than the pair takes",
    CLOCK: "this computer's clock and the exchange's are too far apart: let it be set by NTP",
    10601: "the exchange has closed this call",
}

# Told before an order could meet another one: who asks, what is asked, whether it can be paid. What is not in here
# proves nothing: 10000, 10017 and 10033 are the exchange's own mishaps, 10004 may come from anywhere on the way.
_BEFORE_MATCHING = frozenset(
    (
        *(10001, 10002, 10003, 10005, 10006, 10007, 10008, 10009, 10010, 10011, 10012, 10013, 10014, 10015, 10016),
        *(10020, 10021, 10022, 10023, 10024, 10031, 10067, 10106, 10107, 10108, 10116, 10120, 10121, 10122, 10123),
        *(10126, 10127, 10128, 10201, 10202, 10203, 10205, 10600, 10601),
    )
)


def refusal(path: str, reason: str, code: int) -> RestFailed:
    """Make the error for a number of the exchange."""
    if code in _CREDENTIALS:
        return CredentialsRefused(path, reason, code, _CREDENTIALS[code])
    if code == NOT_TRADABLE and path in _CREATING:
        return RestRefused(path, reason, code, _CLOSED)
    return RestRefused(path, reason, code, _ADVICE.get(code, ""))


def order_advice(code: int | None) -> str:
    """Say what to do about the refusal of an order, over whichever way it was sent."""
    if code is None:
        return ""
    if code == NOT_TRADABLE:
        return _CLOSED
    return _CREDENTIALS.get(code) or _ADVICE.get(code, "")


def proves_no_order(code: int | None) -> bool:
    """Tell whether a refusal with this number is proof that there is no order."""
    return code in _BEFORE_MATCHING
