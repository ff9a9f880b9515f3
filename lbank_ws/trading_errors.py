"""What can go wrong with an account and its orders, and whose fault it is.

As in `errors.py`: the class names the party, facts are attributes, `str()` makes the sentence. `RestRefused` and
`OrderRefused` are the exchange's no; `OrderUnknown` is the line's, and is no answer at all.
"""

from __future__ import annotations

from lbank_ws.errors import LBankError, Refused, RestFailed, UsageError
from lbank_ws.events import OrderUpdate
from lbank_ws.quoting import quoted


class RestRefused(RestFailed):
    """The exchange answered a REST call, and said no.

    Attributes:
        path: What was called: `/v2/timestamp.do`.
        reason: The exchange's own words, with IP addresses masked.
        code: The exchange's own number.
        advice: What to do about it; empty where nothing is known.
    """

    def __init__(self, path: str, reason: str, code: int, advice: str = "") -> None:
        super().__init__(path, reason, code)
        self.advice = advice
        self.args = (path, self.reason, code, advice)

    def sentence(self) -> str:
        return f"{super().sentence()}; {self.advice}" if self.advice else super().sentence()


class CredentialsRefused(RestRefused):
    """The exchange does not take the key, its signature, or where the call comes from; it will not the next time.

    Attributes:
        path: What was called.
        reason: The exchange's own words, with IP addresses masked.
        code: The exchange's own number.
        advice: What to do about it.
    """


class OrderRefused(Refused):
    """The exchange refused an order, so there is none; or it was not sent; either way there is none.

    Attributes:
        code: The exchange's own number, or None where it was not sent.
        reason: The exchange's own words, or why it was not sent.
        client_id: The id that it was to have; it is not used again.
        advice: What to do about it; empty where nothing is known.
    """

    def __init__(self, code: int | None, reason: str, client_id: str, advice: str = "") -> None:
        super().__init__(code, reason)
        self.client_id = client_id
        self.advice = advice
        self.args = (code, self.reason, client_id, advice)

    def sentence(self) -> str:
        what = (
            f"the order {self.client_id} was not placed"
            if self.code is None
            else f"the exchange refused the order {self.client_id} (code {self.code})"
        )
        return f"{what}: {self.reason}" + (f"; {self.advice}" if self.advice else "")


class OrderUnknown(LBankError):
    """An order has left and no answer tells what became of it. It is never sent again.

    Attributes:
        client_id: The id that it was sent with; `orders.resolve(client_id)` looks it up.
        pair: For example `btc_usdt`.
        reason: What came instead of an answer.
    """

    def __init__(self, client_id: str, pair: str, reason: str) -> None:
        self.reason = quoted(reason)
        super().__init__(client_id, pair, self.reason)
        self.client_id = client_id
        self.pair = pair

    def sentence(self) -> str:
        return (
            f"nobody knows whether the order {self.client_id} on {self.pair} was placed: {self.reason}; "
            f"do not place it again, ask: client.orders.resolve({self.client_id!r})"
        )


class OrdersHalted(UsageError):
    """`orders.halt()` was called; no further order leaves until `orders.resume()`."""


class OrderOutOfBounds(UsageError):
    """An order is larger, reaches further, or is one more than its client's own bounds allow; nothing was sent.

    Attributes:
        bound: Which of `Bounds`: `values`, say.
        asked: What the order has.
        allowed: What it may have.
    """

    def __init__(self, bound: str, asked: str, allowed: str) -> None:
        super().__init__(bound, asked, allowed)
        self.bound = bound
        self.asked = asked
        self.allowed = allowed

    def sentence(self) -> str:
        return (
            f"your own bounds refuse the order, {self.bound}: it has {self.asked}, and {self.allowed} is allowed; "
            "nothing was sent. Make it smaller, or give the client other Bounds"
        )


class JournalBusy(UsageError):
    """Another client writes this journal; two of them would not know of each other's orders.

    Attributes:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def sentence(self) -> str:
        return f"{quoted(self.path)} belongs to another client that is running; end that one, or name another journal"


class JournalFailed(LBankError):
    """The disk did not take what must be written down before an order leaves; so no order left.

    Attributes:
        path: The file.
        reason: The system's words.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def sentence(self) -> str:
        return f"cannot write the journal {quoted(self.path)}: {self.reason}; without it no order leaves"


class OrdersStillOpen(LBankError):
    """The exchange still lists open orders that were to be cancelled, or could not be asked.

    Attributes:
        pair: Their pair.
        orders: Those that it listed last; empty where it could not be asked.
        reason: Why it could not be asked; empty where it could.
    """

    def __init__(self, pair: str, orders: tuple[OrderUpdate, ...], reason: str = "") -> None:
        super().__init__(pair, orders, reason)
        self.pair = pair
        self.orders = orders
        self.reason = reason

    def sentence(self) -> str:
        what = (
            f"{len(self.orders)} orders on {self.pair} are still open"
            if self.orders
            else (f"nobody knows whether orders on {self.pair} are still open")
        )
        return f"{what}{': ' + self.reason if self.reason else ''}; look at the exchange itself"
