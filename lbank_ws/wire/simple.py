"""The simple dialect of the published guide, "How to use LBank's WebSocket API?" (29 April 2025).

The guide spells out the endpoint, sub, unsub and the ticker's push. No capture of it is known, so the rest is an
assumption after the family of sub/ch/tick protocols, marked as such; a capture of the live exchange would settle it.
Source: docs/reference/wire.md, "The simple dialect".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NoReturn

from lbank_ws.channels import Channel, Topic
from lbank_ws.errors import DecodeError, UsageError
from lbank_ws.events import Depth, Event, Receipt, Ticker, Trade
from lbank_ws.quoting import quoted
from lbank_ws.wire import simple_orders, values
from lbank_ws.wire.levels import Levels
from lbank_ws.wire.messages import Ack, Denial, Ignored, Message, OrderRequest, Ping, Pong, Push
from lbank_ws.wire.values import BadValueError, member

# Assumption: the guide names three streams and spells only the ticker's topic.
_NAMES = {Channel.TICKER: "ticker", Channel.DEPTH: "depth", Channel.TRADE: "trade"}
_FIRST_ID = 12345  # the guide's own; each topic gets the next one


class Simple:
    """One line's simple dialect: it remembers which topic a spelling and an id stand for."""

    name = "simple"
    path = "/ws"
    urls: tuple[str, ...] = ("wss://api.lbkex.com/ws",)
    has_requests = False
    has_orders = True

    def __init__(self) -> None:
        self._ids: dict[Topic, str] = {}
        self._topics: dict[str, Topic] = {}

    def spelling(self, topic: Topic) -> str:
        """Give the wire's name of a topic: it has no underscore and no number of levels."""
        if topic.channel not in _NAMES:
            what = "account streams" if topic.channel.is_private else topic.channel
            raise UsageError(f"the simple dialect has no {what}; use LBankClient() with V2")
        return f"market.{topic.pair.replace('_', '')}.{_NAMES[topic.channel]}"

    def subscribe(self, topic: Topic, key: str | None = None) -> str:
        """Give the frame that asks for a topic."""
        return values.json_text({"sub": self.spelling(topic), "id": self._id(topic)})

    def unsubscribe(self, topic: Topic, key: str | None = None) -> str:
        """Give the frame that ends it."""
        return values.json_text({"unsub": self.spelling(topic), "id": self._id(topic)})

    def request(
        self, topic: Topic, *, size: int | None = None, start_at: datetime | None = None, end_at: datetime | None = None
    ) -> NoReturn:
        """Raise `UsageError`: the guide knows no one-shot requests."""
        raise UsageError("the simple dialect has no one-shot requests; use LBankClient() with V2")

    def log_in(self, key: str, timestamp: str, signature: str) -> str:
        """Give the frame that logs a line in."""
        return simple_orders.log_in(key, timestamp, signature)

    def order(self, number: str, order: OrderRequest) -> str:
        """Give the frame that places an order."""
        return simple_orders.order(number, order)

    def ping(self, number: int) -> str:
        """Give the frame that asks the exchange whether it lives (assumption)."""
        return values.json_text({"ping": number})

    def decode(self, frame: str, receipt: Receipt) -> Message:
        """Read one frame; raises `DecodeError` and nothing else."""
        fields = values.parsed(frame)
        try:
            if "ch" in fields:
                return self._push(fields, frame, receipt)
            if "op" in fields:
                return simple_orders.reply(fields)
            return self._control(fields, frame)
        except BadValueError as bad:
            raise DecodeError(str(bad), frame) from None

    def _id(self, topic: Topic) -> str:
        self._topics[self.spelling(topic)] = topic
        return self._ids.setdefault(topic, str(_FIRST_ID + len(self._ids)))

    def _control(self, fields: Mapping[str, object], frame: str) -> Message:
        if "ping" in fields:
            answer = values.member_text(frame, "ping")
            # V2's heartbeat is answered in V2's words, should the host speak it here too.
            return Ping(f'{{"action":"pong","pong":{answer}}}' if "action" in fields else f'{{"pong":{answer}}}')
        if "pong" in fields:
            return Pong()
        status = fields.get("status")
        if status == "ok":
            named = fields.get("subbed", fields.get("unsubbed"))
            return Ack(self._asked(fields, named), joined="unsubbed" not in fields)
        if status == "error":
            words = [fields[key] for key in ("err-code", "err-msg") if isinstance(fields.get(key), str | int)]
            reason = quoted(": ".join(str(said) for said in words)) or "no reason was given"
            code = fields.get("err-code")
            is_number = isinstance(code, int) and not isinstance(code, bool)
            return Denial(reason, code=code if is_number else None, topic=self._asked(fields, None))  # type: ignore[arg-type]  # is_number says so
        return Ignored("a frame without ch, ping, pong or status")

    def _asked(self, fields: Mapping[str, object], spelling: object) -> Topic | None:
        """Give the topic that an answer is about, by its name or by the id that was sent."""
        if isinstance(spelling, str) and spelling in self._topics:
            return self._topics[spelling]
        number = str(fields.get("id"))
        return next((topic for topic, sent in self._ids.items() if sent == number), None)

    def _push(self, fields: Mapping[str, object], frame: str, receipt: Receipt) -> Message:
        spelling = fields["ch"]
        topic = self._topics.get(spelling) if isinstance(spelling, str) else None
        if topic is None:
            return Ignored("a push that nobody asked for")
        tick = values.mapping(member(fields, "tick"), "tick")
        # Assumption: ts stands beside ch or inside tick, in milliseconds of Unix time.
        sent = fields.get("ts", tick.get("ts"))
        exchange_at = None if sent is None else values.epoch(sent, "ts")
        if topic.channel is Channel.TRADE:
            return Push(_trades(topic.pair, tick, exchange_at, receipt, frame))
        read = _ticker if topic.channel is Channel.TICKER else _depth
        return Push((read(topic.pair, tick, exchange_at, receipt, frame),))


def _ticker(pair: str, tick: Mapping[str, object], exchange_at: datetime | None, receipt: Receipt, frame: str) -> Event:
    """Read a ticker: the guide names `close` and `vol`, the other fields are assumptions."""
    return Ticker(
        pair=pair,
        last=values.positive(member(tick, "close"), "close"),
        high=values.decimal_or_none(tick, "high"),
        low=values.decimal_or_none(tick, "low"),
        volume=values.decimal_or_none(tick, "vol"),
        turnover=values.decimal_or_none(tick, "amount"),
        exchange_at=exchange_at,
        receipt=receipt,
        raw=frame,
    )


def _depth(pair: str, tick: Mapping[str, object], exchange_at: datetime | None, receipt: Receipt, frame: str) -> Event:
    """Read a book (assumption): two lists of [price, amount], best first."""
    return Depth(
        pair=pair,
        bids=Levels(values.rows(member(tick, "bids"), "bids"), frame),
        asks=Levels(values.rows(member(tick, "asks"), "asks"), frame),
        exchange_at=exchange_at,
        receipt=receipt,
        raw=frame,
    )


def _trades(
    pair: str, tick: Mapping[str, object], exchange_at: datetime | None, receipt: Receipt, frame: str
) -> tuple[Event, ...]:
    """Read trades (assumption): one in `tick`, or several under its `data`."""
    deals = values.rows(tick["data"], "data") if "data" in tick else [tick]
    trades = []
    for content in deals:
        deal = values.mapping(content, "a trade")
        side, order_type = values.direction(member(deal, "direction"))
        price = values.positive(member(deal, "price"), "price")
        amount = values.positive(member(deal, "amount"), "amount")
        trades.append(
            Trade(
                pair=pair,
                price=price,
                amount=amount,
                value=None,
                side=side,
                order_type=order_type,
                traded_at=values.epoch(deal["ts"], "ts") if deal.get("ts") is not None else exchange_at,
                exchange_at=exchange_at,
                receipt=receipt,
                raw=frame,
            )
        )
    return tuple(trades)
