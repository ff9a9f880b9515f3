"""What a decoded frame can be, in neutral words, and what a dialect must be able to do."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

from lbank_ws.channels import Channel, Topic
from lbank_ws.events import Event, Receipt, Side


class Push(NamedTuple):
    """Data that a subscription brought; mostly one event."""

    events: tuple[Event, ...]


class Reply(NamedTuple):
    """The answer to a one-shot request.

    Attributes:
        channel: What was asked for.
        pair: Of which pair.
        events: What there is, in the exchange's order; it may be empty.
    """

    channel: Channel
    pair: str
    events: tuple[Event, ...]


class Ping(NamedTuple):
    """The exchange asks whether we live; `answer` is the frame to send back."""

    answer: str


class Pong(NamedTuple):
    """The exchange answered our ping."""


class Ack(NamedTuple):
    """The exchange confirmed a subscription, or its end when `joined` is False; `topic` is None when it named none."""

    topic: Topic | None
    joined: bool


class Denial(NamedTuple):
    """The exchange refused something.

    Attributes:
        reason: Its own words, with IP addresses masked.
        code: Its number, or None.
        topic: The one that was refused, or None where the frame does not say.
        pairs: The pairs that it names as unknown; empty where it names none.
        is_about_key: Whether it says that a subscribe key opens nothing.
    """

    reason: str
    code: int | None = None
    topic: Topic | None = None
    pairs: tuple[str, ...] = ()
    is_about_key: bool = False


class LogInReply(NamedTuple):
    """The exchange answered a log-in.

    Attributes:
        is_accepted: Whether it said yes.
        code: Its number of a refusal, or None.
        reason: Its own words, with IP addresses masked; empty where it sent none.
    """

    is_accepted: bool
    code: int | None = None
    reason: str = ""


class OrderReply(NamedTuple):
    """The exchange answered an order.

    Attributes:
        number: The one that was sent with it, or None where the frame names none.
        is_accepted: Whether it said yes.
        order_id: Its id of the order, or None where it named none.
        code: Its number of a refusal, or None.
        reason: Its own words, with IP addresses masked; empty where it sent none.
    """

    number: str | None
    is_accepted: bool
    order_id: str | None = None
    code: int | None = None
    reason: str = ""


class Ignored(NamedTuple):
    """A well-formed frame that means nothing to us; `why` says so for the log."""

    why: str


Message = Push | Reply | Ping | Pong | Ack | Denial | LogInReply | OrderReply | Ignored


class OrderRequest(NamedTuple):
    """An order to be placed over a socket, as valid as its sender could make it.

    Attributes:
        pair: For example `btc_usdt`.
        side: `buy` or `sell`.
        order_type: `limit`, `market`, `maker`, `ioc` or `fok`.
        price: The limit, in the quote currency; None for a market order.
        amount: In the base currency; None for a market buy.
        value: What a market buy may spend, in the quote currency; None for every other.
        client_id: The id that it is placed with.
    """

    pair: str
    side: Side
    order_type: str
    price: Decimal | None
    amount: Decimal | None
    value: Decimal | None
    client_id: str


class Dialect(Protocol):
    """One way to speak with the exchange. An object belongs to one line and one lock."""

    name: str
    path: str
    urls: tuple[str, ...]
    has_requests: bool  # whether a stream can be asked for once
    has_orders: bool  # whether a line logs in, and takes orders then

    def spelling(self, topic: Topic) -> str:
        """Give the wire's name of a topic; two topics of the same name cannot be told apart.

        Raises:
            UsageError: The dialect has no such topic.
        """

    def subscribe(self, topic: Topic, key: str | None = None) -> str:
        """Give the frame that asks for a topic.

        Args:
            topic: What to ask for.
            key: The subscribe key, for a topic of an account; such a frame is a secret.
        """

    def unsubscribe(self, topic: Topic, key: str | None = None) -> str:
        """Give the frame that ends it."""

    def request(
        self, topic: Topic, *, size: int | None = None, start_at: datetime | None = None, end_at: datetime | None = None
    ) -> str:
        """Give the frame that asks once for what a topic holds.

        Args:
            topic: What to ask for.
            size: How many rows of trades or klines; None leaves it to the exchange.
            start_at: Klines from here on; aware.
            end_at: Klines until here; aware.

        Raises:
            UsageError: The dialect has no one-shot requests.
        """

    def log_in(self, key: str, timestamp: str, signature: str) -> str:
        """Give the frame that logs a line in; such a frame is a secret.

        Args:
            key: The API key.
            timestamp: Epoch milliseconds.
            signature: Made for this timestamp.

        Raises:
            UsageError: The dialect has no log-in.
        """

    def order(self, number: str, order: OrderRequest) -> str:
        """Give the frame that places an order.

        Args:
            number: Its answer should name it.
            order: What to place.

        Raises:
            UsageError: The dialect has no orders.
        """

    def ping(self, number: int) -> str:
        """Give the frame that asks the exchange whether it lives."""

    def decode(self, frame: str, receipt: Receipt) -> Message:
        """Read one frame.

        Args:
            frame: The text as received.
            receipt: When it was read from the socket; its events share it.

        Raises:
            DecodeError: It is not what the protocol says. Nothing else is ever raised.
        """
