"""LBank's market data and orders in a few lines of synchronous Python.

>>> from lbank_ws import LBankClient
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lbank_ws.causes import Cause, Flaw, GapCause
from lbank_ws.channels import DEFAULT_LEVELS, INTERVALS, Channel, Topic
from lbank_ws.client import Ended, LBankClient
from lbank_ws.errors import (
    CallbackError,
    ConnectionLost,
    DecodeError,
    EventsDropped,
    GaveUp,
    LBankError,
    MissingExtra,
    NoEvent,
    RecordingBusy,
    RecordingFailed,
    Refused,
    RestFailed,
    SlowCallback,
    Stale,
    StaleBook,
    StalePrice,
    StoreBusy,
    StoreDamaged,
    StoreFailed,
    SubscriptionRefused,
    UsageError,
)
from lbank_ws.events import Depth, Event, Gap, Kline, Level, Status, Ticker, Trade
from lbank_ws.feed.backlog import Policy
from lbank_ws.feed.subscriptions import Subscribed
from lbank_ws.knowing import LineView, SubscriptionStats
from lbank_ws.subscribing import Subscription
from lbank_ws.version import VERSION

if TYPE_CHECKING:
    from lbank_ws.collect.collector import Collector
    from lbank_ws.collect.files import FileStore
    from lbank_ws.collect.sqlite import SqliteStore
    from lbank_ws.playback import replay

__version__ = VERSION

__all__ = [
    "DEFAULT_LEVELS",
    "INTERVALS",
    "CallbackError",
    "Cause",
    "Channel",
    "Collector",
    "ConnectionLost",
    "DecodeError",
    "Depth",
    "Ended",
    "Event",
    "EventsDropped",
    "FileStore",
    "Flaw",
    "Gap",
    "GapCause",
    "GaveUp",
    "Kline",
    "LBankClient",
    "LBankError",
    "Level",
    "LineView",
    "MissingExtra",
    "NoEvent",
    "Policy",
    "RecordingBusy",
    "RecordingFailed",
    "Refused",
    "RestFailed",
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
    """Import what few scripts need when it is first asked for, because of what it brings along."""
    if name == "replay":
        from lbank_ws.playback import replay

        return replay
    if name == "Collector":
        from lbank_ws.collect.collector import Collector

        return Collector
    if name == "FileStore":
        from lbank_ws.collect.files import FileStore

        return FileStore
    if name == "SqliteStore":
        from lbank_ws.collect.sqlite import SqliteStore

        return SqliteStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
