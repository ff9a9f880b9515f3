"""One side of a book, read when it is looked at.

A book of a hundred levels is most of what an exchange sends, and few look at more than the best of them. So a push's
two lists are cut out of its text before the rest is read as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import overload

from lbank_ws.errors import DecodeError
from lbank_ws.events import Level
from lbank_ws.wire.values import BadValueError, json_value, parsed, price, rows

_ASKS, _BIDS = '"asks":[[', '"bids":[['
# No number is longer than what is read without a second look, and none has a sign or an exponent.
_NUMBER = r"[0-9]{1,40}(?:\.[0-9]{1,40})?"
_PAIR = rf'\["{_NUMBER}","{_NUMBER}"\]'
_PLAIN = re.compile(rf"\[{_PAIR}(?:,{_PAIR})*\]")
_BEST = re.compile(rf'\[\["({_NUMBER})","({_NUMBER})"\]')
_BEST_JSON = re.compile(_BEST.pattern.encode())
_NAME = len('"asks":')
_MOST_REST = 1000  # characters of a frame without its levels


class Levels(Sequence[Level]):
    """One side of a book that becomes numbers when it is looked at; exactness costs nothing before that.

    Reading it raises `DecodeError` when a level is not [price, amount], both 0 or more.

    Args:
        raw: A list of levels, not empty where it is the JSON text of one.
        frame: Where they come from, for an error.
    """

    __slots__ = ("_best", "_frame", "_json", "_levels", "_raw", "_text")

    def __init__(self, raw: list[object] | str, frame: str) -> None:
        self._text = raw if isinstance(raw, str) else ""
        self._raw = None if isinstance(raw, str) else raw
        self._json: bytes | None = None  # what the text is made of when somebody asks for it
        self._frame = frame
        self._best: Level | None = None
        self._levels: tuple[Level, ...] | None = None

    @classmethod
    def of_json(cls, json: bytes, frame: str) -> Levels | None:
        """Make them of ASCII that is JSON, which is read no further than to the best level; None where that is unusual.

        It may be any object of bytes, such as a view of the frame, and is kept as it is.
        """
        best = _BEST_JSON.match(json)
        if best is None:
            return None
        levels = cls("", frame)
        levels._json = json
        levels._best = Level(Decimal(str(best[1], "ascii")), Decimal(str(best[2], "ascii")))
        return levels

    @property
    def plain_text(self) -> str | None:
        """The side as the exchange sent it, where that is JSON of pairs of plain numbers as texts, all 0 or more.

        Then it says what reading it would give, and is not read for it; else None.
        """
        text = self._read_text()
        return text if text and _PLAIN.fullmatch(text) else None

    def __len__(self) -> int:
        return len(self._rows())

    def __bool__(self) -> bool:
        return bool(self._best or self._text or self._raw)

    @overload
    def __getitem__(self, index: int) -> Level: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Level, ...]: ...

    def __getitem__(self, index: int | slice) -> Level | tuple[Level, ...]:
        if index == 0 and self._best is not None:
            return self._best
        if self._levels is None and isinstance(index, int):
            if index == 0:
                return self._first()
            return self._read(self._rows()[index])
        return self._all()[index]

    def __iter__(self) -> Iterator[Level]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Levels):
            # Each push is compared with the one before. Most differ, and do so near the top.
            printed = self._json or self._text
            if printed and printed == (other._json or other._text):
                return True
            if self and other and (self._best or self._first()) != (other._best or other._first()):
                return False
            return len(self) == len(other) and all(
                mine == theirs or self._read(mine) == other._read(theirs)
                for mine, theirs in zip(self._rows(), other._rows(), strict=True)
            )
        return tuple(self) == tuple(other) if isinstance(other, tuple | list) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return repr(self._all())

    def _all(self) -> tuple[Level, ...]:
        if self._levels is None:
            self._levels = tuple(map(self._read, self._rows()))
        return self._levels

    def _first(self) -> Level:
        """Give the best level, and leave the others unread."""
        if self._best is None:
            plain = _BEST.match(self._read_text())
            if plain is not None:
                self._best = Level(Decimal(plain[1]), Decimal(plain[2]))
        return self._best or self._read(self._rows()[0])

    def _read_text(self) -> str:
        if self._json is not None and not self._text:
            self._text = str(self._json, "ascii")
        return self._text

    def _rows(self) -> list[object]:
        if self._raw is None:
            try:
                self._raw = rows(json_value(self._read_text()), "this side")
            except (ValueError, InvalidOperation, RecursionError, BadValueError):
                raise DecodeError("a side of the book is no list of levels", self._frame) from None
        return self._raw

    def _read(self, raw: object) -> Level:
        try:
            level = rows(raw, "this one")
            if len(level) != 2:
                raise BadValueError(f"this one has {len(level)} members")
            return Level(price(level[0], "this price"), price(level[1], "this amount"))
        except BadValueError as bad:
            raise DecodeError(f"a level is [price, amount], both 0 or more, but {bad}", self._frame) from None


def parsed_book(frame: str) -> dict[str, object] | None:
    """Read a push of depth, its two sides as `Levels`; None for all that looks in any way different."""
    asks, bids = frame.find(_ASKS), frame.find(_BIDS)
    if asks < 0 or bids < 0 or "\\" in frame:
        return None
    first, second = (asks, bids) if asks < bids else (bids, asks)
    begin, middle = first + _NAME, second + _NAME
    first_end, second_end = second - 1, frame.rfind("]]") + 2
    # Levels hold no colon; so nothing but levels stands between the brackets.
    if frame[second - 3 : second] != "]]," or frame.find(":", begin, first_end) >= 0 or second_end < middle:
        return None
    if frame.find(":", middle, second_end) >= 0:
        return None
    rest = f"{frame[:begin]}0{frame[first_end:middle]}0{frame[second_end:]}"
    if len(rest) > _MOST_REST or rest.count('"asks"') != 1 or rest.count('"bids"') != 1:
        return None
    try:
        fields = dict(parsed(rest))
    except DecodeError:
        return None
    book = fields.get("depth")
    if not isinstance(book, dict) or book.get("asks") != 0 or book.get("bids") != 0:
        return None
    sides = Levels(frame[begin:first_end], frame), Levels(frame[middle:second_end], frame)
    book["asks"], book["bids"] = sides if asks < bids else sides[::-1]
    return fields
