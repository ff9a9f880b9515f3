"""Frames as faults see them: what a text frame is about, the same with something changed, and the bytes it becomes.

Decided here: how text is told apart without a subscription at hand, and how it is changed without touching the rest:
numbers keep the digits they were printed with. Pure; what is sent when is decided elsewhere.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

Kind = Literal["push", "reply", "ack", "error", "ping", "pong", "other"]

CHANNELS = {"tick": "ticker", "depth": "depth", "trade": "trade", "kbar": "kline"}
"""V2's words and this package's; the private channels keep V2's own."""

TEXT, PING, CONTINUATION = 1, 9, 0  # opcodes of RFC 6455


class Number(str):
    """A number in its printed form, so that `4.0E-5` does not come out as `0.00004`."""

    __slots__ = ()


@dataclass(frozen=True)
class Frame:
    """One text frame on its way to a client.

    Attributes:
        text: As sent.
        kind: What it is for.
        channel: In this package's words, or V2's for the private ones; None when it is no push and no reply.
        pair: `btc_usdt`, or in the simple dialect `btcusdt`; None when it has none.
    """

    text: str
    kind: Kind = "other"
    channel: str | None = None
    pair: str | None = None

    def said(self) -> dict[str, Any]:
        """Give what it says, decoded; the caller may change it."""
        said = parsed(self.text)
        return said if isinstance(said, dict) else {}

    def saying(self, said: object) -> Frame:
        """Give the same frame with other words."""
        return replace(self, text=printed(said))

    def is_about(self, pair: str | None, channel: str | None) -> bool:
        """Tell whether it is a push of this pair and channel; None is any."""
        if self.kind != "push" or (channel is not None and channel != self.channel):
            return False
        return pair is None or self.pair in (pair, pair.replace("_", ""))


@dataclass(frozen=True)
class Raw:
    """Bytes on their way to a client, each piece a TCP write of its own.

    Attributes:
        pieces: What is written.
        gap_s: How long to wait between two pieces.
    """

    pieces: tuple[bytes, ...]
    gap_s: float = 0.0


@dataclass(frozen=True)
class Close:
    """A polite end.

    Attributes:
        code: Any number up to 65535.
        reason: At most 123 bytes go out.
        after_s: How much later.
    """

    code: int = 1000
    reason: str = ""
    after_s: float = 0.0


@dataclass(frozen=True)
class Cut:
    """An end without a close frame, behind what was sent before.

    Attributes:
        how: `close` ends TCP in good order, `reset` with an RST, `half` shuts the exchange's sending side only.
    """

    how: Literal["close", "reset", "half"]


Out = Frame | Raw | Close | Cut


@lru_cache(maxsize=256)
def read_frame(text: str) -> Frame:
    """Tell what a text frame is about; one that cannot be read is `other`."""
    try:
        said = json.loads(text)
    except ValueError:
        return Frame(text)
    if not isinstance(said, dict):
        return Frame(text)
    if isinstance(said.get("ch"), str):
        _, _, topic = said["ch"].partition(".")
        pair, _, channel = topic.partition(".")
        return Frame(text, "push", channel, pair)
    if isinstance(said.get("type"), str):
        kind: Kind = "reply" if {"records", "trades", "asks"} & said.keys() else "push"
        return Frame(text, kind, CHANNELS.get(said["type"], said["type"]), said.get("pair"))
    kinds: tuple[tuple[str, Kind], ...] = (("ping", "ping"), ("pong", "pong"), ("subbed", "ack"), ("unsubbed", "ack"))
    for key, kind in kinds:
        if key in said:
            return Frame(text, kind)
    return Frame(text, "error" if said.get("status") == "error" else "other")


def parsed(text: str) -> Any:
    """Decode JSON with numbers as printed."""
    return json.loads(text, parse_float=Number, parse_int=Number)


def printed(value: object) -> str:
    """Encode what `parsed` gives, without blanks."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{printed(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(printed(each) for each in value) + "]"
    return json.dumps(value)


def payload_of(said: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Give the key of a push's content, and the content; an empty one when it has none."""
    key = "tick" if "ch" in said else str(said.get("type", ""))
    if key not in said:
        key = "data"
    content = said.get(key)
    return key, content if isinstance(content, dict) else {}


def framed(payload: bytes, *, opcode: int = TEXT, is_last: bool = True, claims: int | None = None) -> bytes:
    """Build a frame as a server sends it, unmasked.

    Args:
        payload: What it holds.
        opcode: Of RFC 6455.
        is_last: Whether the message ends with it.
        claims: A length to claim in place of the payload's.
    """
    length = len(payload) if claims is None else claims
    first = bytes([is_last << 7 | opcode])
    if length < 126:
        return first + bytes([length]) + payload
    if length < 1 << 16:
        return first + b"\x7e" + struct.pack("!H", length) + payload
    return first + b"\x7f" + struct.pack("!Q", length) + payload


def bytes_of(out: Frame | Raw) -> bytes:
    """Give what travels, whole."""
    return framed(out.text.encode()) if isinstance(out, Frame) else b"".join(out.pieces)


def cut_into(whole: bytes, sizes: Sequence[int]) -> tuple[bytes, ...]:
    """Cut bytes into pieces of these sizes; the last size is repeated."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append(whole[at : at + size])
        at += size
    step = sizes[-1]
    pieces += [whole[begin : begin + step] for begin in range(at, len(whole), step)]
    return tuple(piece for piece in pieces if piece)
