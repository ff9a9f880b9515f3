"""The V2 dialect, which the exchange is seen to speak.

Source of every shape: docs/reference/wire.md, "V2", and the messages in tests/samples/v2/.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NoReturn

from lbank_ws.channels import Channel, Topic
from lbank_ws.errors import DecodeError, UsageError
from lbank_ws.events import Depth, Kline, Receipt, Ticker, Trade
from lbank_ws.quoting import quoted
from lbank_ws.wire import making, v2_account, values
from lbank_ws.wire.levels import Levels, parsed_book
from lbank_ws.wire.messages import Denial, Ignored, Message, OrderRequest, Ping, Pong, Push, Reply
from lbank_ws.wire.values import BadValueError, member

_NAMES = {
    Channel.TICKER: "tick",
    Channel.DEPTH: "depth",
    Channel.TRADE: "trade",
    Channel.KLINE: "kbar",
    Channel.ORDER: v2_account.ORDERS,
    Channel.BALANCE: v2_account.BALANCES,
}
_SHORT = 300  # characters; in a short book there is nothing to win
_PUSHED_BAR = ("o", "h", "l", "c", "v", "a", "n")
_REPLY_BAR = ("open", "high", "low", "close", "volume", "turnover", "count")
_UNKNOWN_PAIRS = re.compile(r"Invalid order pairs:\s*\[([^\]]*)\]")


def _quick_reader() -> Callable[[str, Receipt], Ticker | Trade | Depth | None] | None:
    """Give what the extra `fast` reads with, or None without it."""
    try:
        return importlib.import_module("lbank_ws.wire.quick").read  # type: ignore[no-any-return]  # it is that
    except ImportError:
        return None


_quick = _quick_reader()


class V2:
    """One line's V2: it remembers nothing."""

    name = "v2"
    path = "/ws/V2/"
    # The order in which they did best: docs/reference/wire.md, "Hosts".
    urls: tuple[str, ...] = ("wss://api.lbkex.com/ws/V2/", "wss://api.lbank.info/ws/V2/", "wss://www.lbkex.net/ws/V2/")
    has_requests = True
    has_orders = False

    def spelling(self, topic: Topic) -> str:
        """Give the wire's name of a topic."""
        return "/".join([_NAMES[topic.channel], topic.pair, *_parameters(topic).values()])

    def subscribe(self, topic: Topic, key: str | None = None) -> str:
        """Give the frame that asks for a topic; the exchange does not acknowledge it."""
        return _subscription("subscribe", topic, key)

    def unsubscribe(self, topic: Topic, key: str | None = None) -> str:
        """Give the frame that ends it."""
        return _subscription("unsubscribe", topic, key)

    def request(
        self, topic: Topic, *, size: int | None = None, start_at: datetime | None = None, end_at: datetime | None = None
    ) -> str:
        """Give the frame that asks once for what a topic holds."""
        fields = {"action": "request", "request": _NAMES[topic.channel], **_parameters(topic), "pair": topic.pair}
        if start_at is not None:
            fields["start"] = values.utc8_text(start_at)
        if end_at is not None:
            fields["end"] = values.utc8_text(end_at)
        if size is not None:
            fields["size"] = str(size)
        return _frame(**fields)

    def log_in(self, key: str, timestamp: str, signature: str) -> NoReturn:
        """Raise `UsageError`: V2 has subscribe keys in place of a log-in."""
        raise UsageError("V2 has no log-in on the socket; use LBankClient(dialect='simple')")

    def order(self, number: str, order: OrderRequest) -> NoReturn:
        """Raise `UsageError`: V2 takes orders over REST."""
        raise UsageError("V2 takes no orders on the socket; they go over REST")

    def ping(self, number: int) -> str:
        """Give the frame that asks the exchange whether it lives."""
        return _frame(action="ping", ping=str(number))

    def decode(self, frame: str, receipt: Receipt) -> Message:
        """Read one frame; raises `DecodeError` and nothing else."""
        if _quick is not None and (event := _quick(frame, receipt)) is not None:
            return Push((event,))
        fields = (parsed_book(frame) if len(frame) > _SHORT else None) or values.parsed(frame)
        try:
            kind = fields.get("type")
            reader = _READERS.get(kind) if isinstance(kind, str) else None
            if reader is not None:
                return reader(fields, frame, receipt)
            return _control(fields, frame)
        except BadValueError as bad:
            raise DecodeError(str(bad), frame) from None


def _subscription(action: str, topic: Topic, key: str | None) -> str:
    fields = {"action": action, "subscribe": _NAMES[topic.channel], **_parameters(topic)}
    if topic.channel.is_private:
        if key is None:
            raise LookupError(f"{topic} needs a subscribe key")
        fields["subscribeKey"] = key
    if topic.channel is not Channel.BALANCE:
        fields["pair"] = topic.pair
    return _frame(**fields)


def _parameters(topic: Topic) -> dict[str, str]:
    """Give what a topic needs beside channel and pair; the exchange's own examples send numbers as text."""
    if topic.channel is Channel.DEPTH:
        return {"depth": str(topic.levels)}
    if topic.channel is Channel.KLINE:
        return {"kbar": str(topic.interval)}
    return {}


def _frame(**fields: str) -> str:
    return values.json_text(fields)


def _control(fields: Mapping[str, object], frame: str) -> Message:
    action = fields.get("action")
    if action == "ping":
        member(fields, "ping")
        return Ping(f'{{"action":"pong","pong":{values.member_text(frame, "ping")}}}')
    if action == "pong":
        return Pong()
    if fields.get("status") == "error":
        text = fields.get("message")
        reason = quoted(text) if isinstance(text, str) else "no reason was given"
        named = _UNKNOWN_PAIRS.search(reason)
        pairs = tuple(part.strip() for part in named[1].split(",")) if named else ()
        return Denial(reason, pairs=pairs, is_about_key=not named and "key" in reason.lower())
    return Ignored(f"a frame of type {values.word(fields.get('type'))} and action {values.word(action)}")


def _tick(fields: Mapping[str, object], frame: str, receipt: Receipt) -> Message:
    tick = values.mapping(member(fields, "tick"), "tick")
    event = making.ticker(
        values.pair_name(member(fields, "pair")),
        _sent_ms(fields),
        receipt,
        frame,
        values.price(member(tick, "latest"), "latest"),
        values.figure(tick.get("high"), "high"),
        values.figure(tick.get("low"), "low"),
        values.figure(tick.get("vol"), "vol"),
        values.figure(tick.get("turnover"), "turnover"),
        values.figure(tick.get("change"), "change"),
        values.side_or_none(tick.get("dir")),
    )
    return Push((event,))


def _depth(fields: Mapping[str, object], frame: str, receipt: Receipt) -> Message:
    """Read a push, or the reply to a request: that one has its sides at the top level."""
    is_push = "depth" in fields
    book = values.mapping(fields["depth"], "depth") if is_push else fields
    count = fields.get("count")
    event = making.depth(
        values.pair_name(member(fields, "pair")),
        _sent_ms(fields),
        receipt,
        frame,
        _side(book, "bids", frame),
        _side(book, "asks", frame),
        None if count is None else values.whole(count, "count"),
        values.word(fields.get("s")),
    )
    return Push((event,)) if is_push else Reply(Channel.DEPTH, event.pair, (event,))


def _side(book: Mapping[str, object], key: str, frame: str) -> Levels:
    content = member(book, key)
    return content if isinstance(content, Levels) else Levels(values.rows(content, key), frame)


def _trade(fields: Mapping[str, object], frame: str, receipt: Receipt) -> Message:
    if "trades" in fields:
        return _past_trades(fields, frame, receipt)
    trade = values.mapping(member(fields, "trade"), "trade")
    event = making.trade(
        values.pair_name(member(fields, "pair")),
        _sent_ms(fields),
        receipt,
        frame,
        values.price(member(trade, "price"), "price"),
        values.price(member(trade, "volume"), "volume"),
        values.figure(trade.get("amount"), "amount"),
        values.direction(member(trade, "direction")),
        values.utc8_ms(member(trade, "TS"), "trade.TS"),
    )
    return Push((event,))


def _sent_ms(fields: Mapping[str, object]) -> float | None:
    moment = fields.get("TS")
    return None if moment is None else values.utc8_ms(moment, "TS")


def _past_trades(fields: Mapping[str, object], frame: str, receipt: Receipt) -> Message:
    """Read the reply to a request for trades.

    Assumption: the column `timestamp` is Unix time in seconds or milliseconds, or text in UTC+8. The only capture has
    no rows; one with rows would settle it.
    """
    pair = values.pair_name(member(fields, "pair"))
    trades = []
    for row in _table(fields, "trades"):
        side, order_type = values.direction(member(row, "direction"))
        moment = member(row, "timestamp")
        is_text = isinstance(moment, str) and "T" in moment
        trades.append(
            Trade(
                pair=pair,
                price=values.positive(member(row, "price"), "price"),
                amount=values.positive(member(row, "volume"), "volume"),
                value=None,
                side=side,
                order_type=order_type,
                traded_at=values.utc8(moment, "timestamp") if is_text else values.epoch(moment, "timestamp"),
                exchange_at=_sent_at(fields),
                receipt=receipt,
                raw=frame,
            )
        )
    return Reply(Channel.TRADE, pair, tuple(trades))


def _kbar(fields: Mapping[str, object], frame: str, receipt: Receipt) -> Message:
    pair = values.pair_name(member(fields, "pair"))
    if "records" in fields:
        interval = values.word(member(fields, "kbar"))
        bars = [
            (values.epoch(member(row, "timestamp"), "timestamp"), row, _REPLY_BAR) for row in _table(fields, "records")
        ]
    else:
        bar = values.mapping(member(fields, "kbar"), "kbar")
        interval = values.word(member(bar, "slot"))
        bars = [(values.utc8(member(bar, "t"), "t"), bar, _PUSHED_BAR)]
    if interval is None:
        raise BadValueError("the interval is not a word")
    klines = tuple(
        Kline(
            pair=pair,
            interval=interval,
            opened_at=opened_at,
            open=values.positive(member(row, names[0]), "open"),
            high=values.positive(member(row, names[1]), "high"),
            low=values.positive(member(row, names[2]), "low"),
            close=values.positive(member(row, names[3]), "close"),
            volume=values.positive(member(row, names[4]), "volume"),
            turnover=values.decimal_or_none(row, names[5]),
            trades=None if row.get(names[6]) is None else values.whole(row[names[6]], "trades"),
            exchange_at=_sent_at(fields),
            receipt=receipt,
            raw=frame,
        )
        for opened_at, row, names in bars
    )
    return Reply(Channel.KLINE, pair, klines) if "records" in fields else Push(klines)


def _table(fields: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    """Read rows whose columns are named beside them."""
    columns = [str(name) for name in values.rows(member(fields, "columns"), "columns")]
    table = [values.rows(row, key) for row in values.rows(fields[key], key)]
    if any(len(row) != len(columns) for row in table):
        raise BadValueError(f"a row of {key} does not have {len(columns)} columns")
    return [dict(zip(columns, row, strict=True)) for row in table]


def _sent_at(fields: Mapping[str, object]) -> datetime | None:
    moment = fields.get("TS")
    return None if moment is None else values.utc8(moment, "TS")


_READERS: Mapping[str, Callable[[Mapping[str, object], str, Receipt], Message]] = {
    "tick": _tick,
    "depth": _depth,
    "trade": _trade,
    "kbar": _kbar,
    v2_account.ORDERS: v2_account.order_update,
    v2_account.BALANCES: v2_account.balance_update,
}
