"""What a recording means to somebody who asks for it again: lives, and which frame belongs to which subscription.

Decided here: that a recording falls into *lives*, each from the opening of a line to its loss, and by what name a
frame and a subscription find each other. A recording of several lines has lives of each, and a life has the frames of
all lines in its time: who asks on one line for what was recorded on two gets both. Pure but for the file; who hears
what, and when, is decided in `replay.py`.
The frames are read here by their keys alone, in both dialects.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from lbank_ws.sandbox.recording import Entry, Frame, Mark, NotARecording, Start, entries

Name = tuple[str, ...]
"""What is subscribed, in the wire's words: `("depth", "btc_usdt", "20")`, or `("market.btcusdt.ticker",)`."""

Kind = Literal["subscribe", "unsubscribe", "request", "push", "reply", "ack", "refusal", "ping", "pong", "other"]

_UNKNOWN_PAIRS = re.compile(r"Invalid order pairs:\s*\[([^\]]*)\]")
_PARAMETERS = {"depth": "depth", "kbar": "kbar"}


@dataclass(frozen=True)
class Said:
    """What a frame is about.

    Attributes:
        kind: What it does.
        name: The subscription that it is about; empty where it names none.
        pairs: What a refusal of V2 names as unknown.
        id: What the simple dialect calls a request, or what a ping carries.
    """

    kind: Kind
    name: Name = ()
    pairs: tuple[str, ...] = ()
    id: object = None


def said_by_client(text: str) -> Said:
    """Read a frame of a client, in either dialect."""
    said = _fields(text)
    if "sub" in said:
        return Said("subscribe", (str(said["sub"]),), id=said.get("id"))
    if "unsub" in said:
        return Said("unsubscribe", (str(said["unsub"]),), id=said.get("id"))
    action = said.get("action")
    if action in ("subscribe", "unsubscribe", "request"):
        channel = str(said.get("request" if action == "request" else "subscribe"))
        return Said(action, _v2_name(channel, said.get("pair"), said.get(_PARAMETERS.get(channel, ""))))
    if "ping" in said:
        return Said("ping", id=said["ping"])
    return Said("pong" if "pong" in said else "other")


def said_by_exchange(text: str) -> Said:
    """Read a frame of the exchange, in either dialect."""
    said = _fields(text)
    if "ch" in said:
        return Said("push", (str(said["ch"]),))
    kind = said.get("type")
    if isinstance(kind, str):
        content = said.get(kind)
        if "records" in said:
            return Said("reply", _v2_name(kind, said.get("pair"), content))
        if "trades" in said or "asks" in said:
            return Said("reply", _v2_name(kind, said.get("pair"), said.get("count") if kind == "depth" else None))
        parameter = said.get("count") if kind == "depth" else None
        if kind == "kbar" and isinstance(content, dict):
            parameter = content.get("slot")
        return Said("push", _v2_name(kind, said.get("pair"), parameter))
    for verb in ("subbed", "unsubbed"):
        if verb in said:
            return Said("ack", (str(said[verb]),), id=said.get("id"))
    if said.get("status") == "error":
        found = _UNKNOWN_PAIRS.search(str(said.get("message")))
        return Said("refusal", pairs=tuple(found[1].split(",")) if found else (), id=said.get("id"))
    return Said("ping" if "ping" in said else "pong" if "pong" in said else "other")


def fits(name: Name, wanted: dict[Name, Any]) -> bool:
    """Tell whether a push belongs to something that is wanted.

    A depth that does not say how many levels it has belongs to every depth of its pair; orders of one pair belong to
    whoever wants those of `all`.
    """
    if name in wanted or (name[0] == "orderUpdate" and ("orderUpdate", "all") in wanted):
        return True
    return len(name) == 2 and name[0] == "depth" and any(known[:2] == name for known in wanted)


@dataclass(frozen=True)
class Life:
    """The time of one line, from its opening to its end.

    Attributes:
        first: The number of its first entry in the recording.
        last: The number behind its last one.
        end: How it was lost, or None where the recording just ends, or its recorder began again.
    """

    first: int
    last: int
    end: Mark | None


@dataclass
class Tape:
    """A recording that was read once, to know what is in it.

    Attributes:
        path: The file.
        dialect: What it speaks.
        lives: Of each recorded line, in order; those that brought nothing are left out.
        line_of: On which recorded line something was asked for first.
        pairs: Every pair, or in the simple dialect every topic, that was asked for or came.
        replies: The answers to one-shot requests, by name.
        ids: What the recorded client called its subscriptions, in the simple dialect.
    """

    path: str
    dialect: str = ""
    lives: dict[int, list[Life]] = field(default_factory=dict)
    line_of: dict[Name, int] = field(default_factory=dict)
    pairs: set[str] = field(default_factory=set)
    replies: dict[Name, list[str]] = field(default_factory=dict)
    ids: dict[str, Name] = field(default_factory=dict)

    def frames(self, life: Life) -> Iterator[Frame]:
        """Give the frames of a life."""
        for entry in itertools.islice(entries(self.path), life.first, life.last):
            if isinstance(entry, Frame):
                yield entry

    def line_for(self, wanted: Iterable[Name]) -> int:
        """Give the recorded line whose lives a client's line shares: the one that carried the first of its wishes."""
        lines = [self.line_of[name] for name in wanted if self.line_of.get(name) in self.lives]
        return lines[0] if lines else next(iter(self.lives))


def read_tape(path: str | os.PathLike[str]) -> Tape:
    """Read a recording as a whole.

    Raises:
        NotARecording: It is none, or nothing came from the exchange in it.
    """
    tape = Tape(os.fspath(path))
    since: dict[int, int] = {}  # where the life of each line begins that has brought something
    behind: dict[int, int] = {}  # where the next life of each line may begin
    start, number = 0, -1
    for number, entry in enumerate(entries(path)):
        if isinstance(entry, Start):
            for line, first in since.items():
                tape.lives.setdefault(line, []).append(Life(first, number, None))
            start, since, behind = number, {}, {}
        elif isinstance(entry, Mark) and entry.kind == "lost":
            if entry.line in since:
                tape.lives.setdefault(entry.line, []).append(Life(since.pop(entry.line), number + 1, entry))
            behind[entry.line] = number + 1
        if _note(entry, tape) and isinstance(entry, Frame):
            since.setdefault(entry.line, behind.get(entry.line, start))
    for line, first in since.items():
        tape.lives.setdefault(line, []).append(Life(first, number + 1, None))
    if not tape.lives:
        raise NotARecording(f"{tape.path} holds no frame of the exchange")
    return tape


def _note(entry: Entry, tape: Tape) -> bool:
    """Note what an entry tells of the whole; True for a frame of the exchange."""
    if isinstance(entry, Start):
        if tape.dialect not in ("", entry.dialect):
            raise NotARecording(f"{tape.path} holds two dialects; replay them from two files")
        tape.dialect = entry.dialect
    if not isinstance(entry, Frame):
        return False
    said = said_by_exchange(entry.text) if entry.is_in else said_by_client(entry.text)
    if said.kind in ("push", "reply", "subscribe", "request"):
        tape.pairs.add(said.name[min(1, len(said.name) - 1)])
    if said.kind == "subscribe":
        tape.line_of.setdefault(said.name, entry.line)
    if said.kind == "reply":
        tape.replies.setdefault(said.name, []).append(entry.text)
    if said.kind == "subscribe" and said.id is not None:
        tape.ids[str(said.id)] = said.name
    return entry.is_in


def _v2_name(channel: str, pair: object, parameter: object) -> Name:
    if channel == "assetUpdate":
        return (channel,)
    pair_name = str(pair).lower()
    return (channel, pair_name) if parameter is None else (channel, pair_name, str(parameter))


def _fields(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
