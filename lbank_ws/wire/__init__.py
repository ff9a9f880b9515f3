"""What frames look like: the two dialects of the exchange.

Decided here and nowhere else: every word, spelling and number format of the wire. Both dialects have the same
methods in the same order, so that `v2.py` and `simple.py` can be read side by side.
"""

from __future__ import annotations

from lbank_ws.errors import UsageError
from lbank_ws.wire.messages import (
    Ack,
    Denial,
    Dialect,
    Ignored,
    LogInReply,
    Message,
    OrderReply,
    OrderRequest,
    Ping,
    Pong,
    Push,
    Reply,
)
from lbank_ws.wire.simple import Simple
from lbank_ws.wire.v2 import V2

DIALECTS: dict[str, type[V2] | type[Simple]] = {"v2": V2, "simple": Simple}

__all__ = [
    "DIALECTS",
    "Ack",
    "Denial",
    "Dialect",
    "Ignored",
    "LogInReply",
    "Message",
    "OrderReply",
    "OrderRequest",
    "Ping",
    "Pong",
    "Push",
    "Reply",
    "dialect_named",
]


def dialect_named(name: str) -> Dialect:
    """Give a new dialect object, one for each line, or raise `UsageError` with the names there are."""
    try:
        return DIALECTS[name.lower()]()
    except (KeyError, AttributeError):
        raise UsageError(f"there is no dialect {name!r}; write one of: {', '.join(DIALECTS)}") from None
