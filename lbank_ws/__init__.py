"""LBank's market data and orders in a few lines of synchronous Python.

>>> from lbank_ws import LBankClient
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lbank_ws.causes import Cause, Flaw, GapCause
from lbank_ws.channels import DEFAULT_LEVELS, INTERVALS, Channel, Topic
from lbank_ws.errors import (
    CallbackError,
    ConnectionLost,
    DecodeError,
    EventsDropped,
    GaveUp,
    LBankError,
    LoginRefused,
    MissingExtra,
    NoEvent,
    Refused,
    RestFailed,
    SlowCallback,
    Stale,
    StaleBook,
    StalePrice,
    SubscriptionRefused,
    UsageError,
)
from lbank_ws.storage_errors import (
    LeaseFailed,
    RecordingBusy,
    RecordingFailed,
    SinkFailed,
    StoreBusy,
    StoreDamaged,
    StoreFailed,
)
from lbank_ws.version import VERSION

if TYPE_CHECKING:
    from lbank_ws.client import Ended, LBankClient
    from lbank_ws.collect.collector import Collector
    from lbank_ws.collect.files import FileStore
    from lbank_ws.collect.sqlite import SqliteStore
    from lbank_ws.dealing import Paper
    from lbank_ws.events import (
        BalanceUpdate,
        Depth,
        Event,
        Fill,
        Gap,
        Kline,
        Level,
        OrderStatus,
        OrderUpdate,
        Status,
        Ticker,
        Trade,
    )
    from lbank_ws.feed.backlog import Policy
    from lbank_ws.feed.wanted import Subscribed
    from lbank_ws.knowing import LineView, SubscriptionStats
    from lbank_ws.playback import replay
    from lbank_ws.signer import Credentials
    from lbank_ws.subscribing import Subscription
    from lbank_ws.trading.bounds import Bounds
    from lbank_ws.trading.fates import Fate
    from lbank_ws.trading.placing import PlacedOrder
    from lbank_ws.trading.resolver import Resolution
    from lbank_ws.trading.ticket import PairRules
    from lbank_ws.trading_errors import (
        CredentialsRefused,
        JournalBusy,
        JournalFailed,
        OrderOutOfBounds,
        OrderRefused,
        OrdersHalted,
        OrdersStillOpen,
        OrderUnknown,
        RestRefused,
    )

__version__ = VERSION

__all__ = [
    "DEFAULT_LEVELS",
    "INTERVALS",
    "BalanceUpdate",
    "Bounds",
    "CallbackError",
    "Cause",
    "Channel",
    "Collector",
    "ConnectionLost",
    "Credentials",
    "CredentialsRefused",
    "DecodeError",
    "Depth",
    "Ended",
    "Event",
    "EventsDropped",
    "Fate",
    "FileStore",
    "Fill",
    "Flaw",
    "Gap",
    "GapCause",
    "GaveUp",
    "JournalBusy",
    "JournalFailed",
    "Kline",
    "LBankClient",
    "LBankError",
    "LeaseFailed",
    "Level",
    "LineView",
    "LoginRefused",
    "MissingExtra",
    "NoEvent",
    "OrderOutOfBounds",
    "OrderRefused",
    "OrderStatus",
    "OrderUnknown",
    "OrderUpdate",
    "OrdersHalted",
    "OrdersStillOpen",
    "PairRules",
    "Paper",
    "PlacedOrder",
    "Policy",
    "RecordingBusy",
    "RecordingFailed",
    "Refused",
    "Resolution",
    "RestFailed",
    "RestRefused",
    "SinkFailed",
    "SlowCallback",
    "SqliteStore",
    "Stale",
    "StaleBook",
    "StalePrice",
    "Status",
    "StoreBusy",
    "StoreDamaged",
    "StoreFailed",
    "Subscribed",
    "Subscription",
    "SubscriptionRefused",
    "SubscriptionStats",
    "Ticker",
    "Topic",
    "Trade",
    "UsageError",
    "__version__",
    "replay",
]


def __getattr__(name: str) -> Any:
    """Import the client and what comes with it when it is first asked for.

    That takes a tenth of a second, for which `lbank-ws --help` need not wait. `replay` brings still more.
    """
    if name == "replay":
        from lbank_ws.playback import replay

        return replay
    if name in ("Collector", "FileStore", "SqliteStore"):
        from lbank_ws.collect import collector, files, sqlite

        return next(vars(module)[name] for module in (collector, files, sqlite) if name in vars(module))
    if name in __all__:
        from lbank_ws import client, dealing, events, knowing, signer, subscribing, trading_errors
        from lbank_ws.feed import backlog, wanted
        from lbank_ws.trading import bounds, fates, placing, resolver, ticket

        late = (client, dealing, events, knowing, signer, subscribing, trading_errors, backlog, wanted)
        for module in (*late, bounds, fates, placing, resolver, ticket):
            if name in vars(module):
                globals()[name] = vars(module)[name]
                return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
