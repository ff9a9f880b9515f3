"""What one line of a segment says: an event, as it came.

Decided here: which fields a line has, and that reading one gives the event that was written. Not decided here: how
lines are packed (`packs.py`), and in which file they stand (`segments.py`). There is no file, no thread and no clock
here.

The fields are explained for readers in docs/reference/segments.md, "A line".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from lbank_ws.causes import Flaw
from lbank_ws.channels import Channel, Topic, topic
from lbank_ws.errors import LBankError
from lbank_ws.events import Depth, Event, Kline, Level, Receipt, Ticker, Trade
from lbank_ws.wire import Dialect, Push, dialect_named
from lbank_ws.wire.masking import masked

FORMAT = 1

_MONEY: Mapping[Channel, tuple[str, ...]] = {
    Channel.TICKER: ("last", "high", "low", "volume", "turnover", "change_pct"),
    Channel.DEPTH: (),
    Channel.TRADE: ("price", "amount", "value"),
    Channel.KLINE: ("open", "high", "low", "close", "volume", "turnover"),
}
_PLAIN: Mapping[Channel, tuple[str, ...]] = {
    Channel.TICKER: ("side",),
    Channel.DEPTH: ("levels", "node"),
    Channel.TRADE: ("side", "order_type"),
    Channel.KLINE: ("interval", "trades"),
}
_MOMENTS: Mapping[Channel, tuple[str, ...]] = {
    Channel.TICKER: ("exchange_at",),
    Channel.DEPTH: ("exchange_at",),
    Channel.TRADE: ("exchange_at", "traded_at"),
    Channel.KLINE: ("exchange_at", "opened_at"),
}
_KINDS: Mapping[Channel, type[Any]] = {
    Channel.TICKER: Ticker,
    Channel.DEPTH: Depth,
    Channel.TRADE: Trade,
    Channel.KLINE: Kline,
}


class BadLineError(ValueError):
    """A line does not say what its place demands."""


@dataclass(frozen=True)
class Head:
    """The first line of a segment.

    Attributes:
        run: Which run wrote it.
        topic: What the events belong to.
        dialect: What the frames speak.
        version: Of lbank_ws.
        opened_ns: When the first event was received, in nanoseconds of Unix time.
    """

    run: str
    topic: Topic
    dialect: str
    version: str
    opened_ns: int


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a segment.

    Attributes:
        ns: When it was received, in nanoseconds of Unix time on the collector's clock.
        line: The number of the line that brought it; 0 where it was fetched.
        seq: Its number in the run, over all segments.
        age_s: How old it was when it came, in seconds; None where that was not known.
        late: Whether it came later than it should.
        event: The event as it was handed to callbacks.
    """

    ns: int
    line: int
    seq: int
    age_s: float | None
    late: bool
    event: Event


def head_text(head: Head) -> str:
    """Give the first line of a segment, without its line feed."""
    return _json(
        {
            "lbank_ws_segment": FORMAT,
            "run": head.run,
            "channel": str(head.topic.channel),
            "pair": head.topic.pair,
            "levels": head.topic.levels,
            "interval": head.topic.interval,
            "dialect": head.dialect,
            "version": head.version,
            "opened_ns": head.opened_ns,
        }
    )


def head_of(text: str) -> Head:
    """Read the first line of a segment.

    Raises:
        BadLineError: It is none, or of a format that is not known.
    """
    said = _object(text)
    if "lbank_ws_segment" not in said:
        raise BadLineError("the first line is no head of a segment")
    if said["lbank_ws_segment"] != FORMAT:
        raise BadLineError(f"its format is {said['lbank_ws_segment']!r}, and this lbank_ws reads {FORMAT}")
    try:
        of = topic(said["channel"], said["pair"], levels=said["levels"], interval=said["interval"])
        return Head(str(said["run"]), of, str(said["dialect"]), str(said["version"]), int(said["opened_ns"]))
    except (KeyError, TypeError, ValueError) as bad:
        raise BadLineError(f"the head of the segment is damaged ({bad!r})") from None


def line_text(event: Event, seq: int, *, has_one: bool = True) -> str:
    """Give the line of an event, without its line feed.

    Args:
        event: As it was handed to callbacks.
        seq: Its number in the run.
        has_one: Its frame holds no other event; else the event itself is written in the frame's place.
    """
    receipt = event.receipt
    age_s = event.age_s
    text = f'{{"ns":{receipt.ns},"line":{receipt.line},"seq":{seq}'
    if age_s is not None:
        text += f',"age_s":{age_s:.6f}'
        if age_s > receipt.late_after_s:
            text += ',"late":true'
    if isinstance(event, Kline) and event.closed:
        text += ',"closed":true'
    if isinstance(event, Depth | Kline) and event.fault is not None:
        text += f',"fault":"{event.fault}"'
    if event.raw and has_one and event.source == "live":  # an answer holds many
        return f'{text},"text":{json.dumps(masked(event.raw))}}}'
    return f'{text},"event":{_json(_fields(event))}}}'


def has_one_event(dialect: str, channel: Channel) -> bool:
    """Tell whether a frame of a channel never holds more than one event; one of the simple dialect may hold trades."""
    return not (dialect == "simple" and channel is Channel.TRADE)


def reader(head: Head) -> Callable[[str], Record]:
    """Give what reads the lines of a segment; it raises `BadLineError` for what is no line of it."""
    try:
        dialect = dialect_named(head.dialect)
        dialect.subscribe(head.topic)  # one of them decodes only what it was asked for
    except LBankError as error:
        raise BadLineError(str(error)) from None

    def read(text: str) -> Record:
        return _record(text, dialect, head.topic)

    return read


def _record(text: str, dialect: Dialect, of: Topic) -> Record:
    said = _object(text)
    try:
        age_s = said.get("age_s")
        receipt = Receipt(int(said["ns"]), None, line=int(said["line"]))
        event = _decoded(said["text"], dialect, receipt) if "text" in said else _event(of, said["event"], receipt)
        if event.channel is not of.channel or event.pair != of.pair:
            raise BadLineError(f"a line of {of} holds a {event.channel} of {event.pair}")
        event = _completed(event, said)
        if age_s is not None and event.sent_s is not None:
            receipt.ahead_s = receipt.ns / 1e9 - event.sent_s - age_s
        return Record(receipt.ns, receipt.line, int(said["seq"]), age_s, "late" in said, event)
    except (KeyError, TypeError, ValueError, ArithmeticError) as bad:
        raise BadLineError(f"a line is damaged ({bad!r})") from None


def _decoded(frame: str, dialect: Dialect, receipt: Receipt) -> Event:
    try:
        message = dialect.decode(frame, receipt)
    except LBankError as error:
        raise BadLineError(str(error)) from None
    if not isinstance(message, Push) or len(message.events) != 1:
        raise BadLineError("a frame is no push of one event")
    return message.events[0]


def _completed(event: Event, said: Mapping[str, Any]) -> Event:
    """Put back what the frame alone does not say."""
    fault = Flaw(said["fault"]) if "fault" in said else None
    if isinstance(event, Kline) and (fault is not None or "closed" in said):
        return replace(event, closed="closed" in said, fault=fault)
    return replace(event, fault=fault) if isinstance(event, Depth) and fault is not None else event


def _fields(event: Event) -> dict[str, Any]:
    """Give an event as JSON has it: numbers of money as text, exactly as they were; moments as ISO 8601 in UTC."""
    channel = event.channel
    said: dict[str, Any] = {"source": event.source}
    for name in _MONEY[channel]:
        amount = getattr(event, name)
        said[name] = None if amount is None else str(amount)
    for name in _PLAIN[channel]:
        said[name] = getattr(event, name)
    for name in _MOMENTS[channel]:
        moment = getattr(event, name)
        said[name] = None if moment is None else moment.isoformat()
    if isinstance(event, Depth):
        for side in ("bids", "asks"):
            said[side] = [[str(level.price), str(level.amount)] for level in getattr(event, side)]
    return said


def _event(of: Topic, said: Mapping[str, Any], receipt: Receipt) -> Event:
    fields: dict[str, Any] = {"pair": of.pair, "receipt": receipt, "source": said["source"]}
    for name in _MONEY[of.channel]:
        fields[name] = None if said[name] is None else Decimal(said[name])
    for name in _PLAIN[of.channel]:
        fields[name] = said[name]
    for name in _MOMENTS[of.channel]:
        fields[name] = None if said[name] is None else _moment(said[name])
    if of.channel is Channel.DEPTH:
        for side in ("bids", "asks"):
            fields[side] = tuple(Level(Decimal(price), Decimal(amount)) for price, amount in said[side])
    event: Event = _KINDS[of.channel](**fields)
    return event


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment


def _object(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise BadLineError("a line is no JSON") from None
    if not isinstance(said, dict):
        raise BadLineError("a line is no JSON object")
    return said


def _json(said: Mapping[str, Any]) -> str:
    return json.dumps(said, separators=(",", ":"))
