"""What the credentials of the environment can do: whether they sign, read, and may place orders.

Decided here: what is asked of the exchange for that. Nothing is placed: `create_order_test` checks an order and forgets
it. Never told: the key, the secret, a balance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lbank_ws.errors import LBankError, RestFailed

if TYPE_CHECKING:
    from lbank_ws.trading.account import AccountRest

NAMES = ("LBANK_API_KEY", "LBANK_API_SECRET", "LBANK_API_SECRET_FILE", "LBANK_SIGNATURE_METHOD")
_TRIED_VALUE = "20"  # of the order that is checked and not placed, in the quote currency
_WITHIN_S = 3.0


@dataclass
class Keys:
    """What is known of the credentials. Each text is empty while it is not known.

    Attributes:
        names: Which of the variables are set.
        problem: Why they cannot be used, or what the exchange says against them.
        signs: By which method they sign.
        reads: Whether the exchange takes the signature and lets them read.
        trades: Whether it would take an order.
    """

    names: tuple[str, ...] = ()
    problem: str = ""
    signs: str = ""
    reads: str = ""
    trades: str = ""


def named(variables: Mapping[str, str]) -> Keys:
    """Give the names of the variables that are set."""
    return Keys(tuple(name for name in NAMES if variables.get(name)))


def examine_keys(keys: Keys, variables: Mapping[str, str], rest_url: str | None, pair: str) -> None:
    """Fill in what can be told of the credentials; never raises.

    Args:
        keys: With the names alone.
        variables: The environment, and what `.env` adds to it.
        rest_url: Whom to ask; None for nobody.
        pair: On which pair an order is checked.
    """
    from lbank_ws.signer import Credentials
    from lbank_ws.trading.account import AccountRest

    try:
        credentials = Credentials.from_env(variables)
        keys.signs = credentials.method
        if rest_url is None:
            return
        rest = AccountRest(rest_url, credentials, timeout_s=_WITHIN_S)
        try:
            rest.balances()
            keys.reads = "yes"
            keys.trades = _trades(rest, pair)
        finally:
            rest.close()
    except LBankError as error:
        keys.problem = error.sentence()


def _trades(rest: AccountRest, pair: str) -> str:
    """Let an order be checked; the refusal of a single pair says what it means, 10008 above all."""
    from lbank_ws.trading.ticket import new_client_id, order_request

    try:
        order = order_request(pair, "buy", "market", value=_TRIED_VALUE, client_id=new_client_id())
        rest.create(order, is_test=True)
    except RestFailed as error:
        return f"no: {error.sentence()}"
    return f"an order on {pair} would be taken"
