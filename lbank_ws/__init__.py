"""LBank's market data and orders in a few lines of synchronous Python.

>>> from lbank_ws import LBankClient
"""

from lbank_ws.channels import DEFAULT_LEVELS, INTERVALS, Channel, Topic
from lbank_ws.client import Ended, LBankClient
from lbank_ws.errors import (
    CallbackError,
    Cause,
    ConnectionLost,
    DecodeError,
    EventsDropped,
    GaveUp,
    LBankError,
    MissingExtra,
    NoEvent,
    Refused,
    SubscriptionRefused,
    UsageError,
)
from lbank_ws.events import Depth, Event, Kline, Level, Status, Ticker, Trade
from lbank_ws.feed.subscriptions import Subscription
from lbank_ws.version import VERSION

__version__ = VERSION

__all__ = [
    "DEFAULT_LEVELS",
    "INTERVALS",
    "CallbackError",
    "Cause",
    "Channel",
    "ConnectionLost",
    "DecodeError",
    "Depth",
    "Ended",
    "Event",
    "EventsDropped",
    "GaveUp",
    "Kline",
    "LBankClient",
    "LBankError",
    "Level",
    "MissingExtra",
    "NoEvent",
    "Refused",
    "Status",
    "Subscription",
    "SubscriptionRefused",
    "Ticker",
    "Topic",
    "Trade",
    "UsageError",
    "__version__",
]
