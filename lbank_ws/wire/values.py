"""Where text of the wire becomes a value: JSON, `Decimal`, UTC.

Decided here: what counts as a number, a moment, a pair. Not decided here: which key holds it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import (
    Clamped,
    Context,
    Decimal,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
    Rounded,
    Subnormal,
    Underflow,
)
from functools import lru_cache
from typing import NoReturn, get_args

from lbank_ws.channels import is_pair
from lbank_ws.errors import DecodeError, UsageError
from lbank_ws.events import Side
from lbank_ws.quoting import quoted


def _no_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_UTC8 = timezone(timedelta(hours=8))
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?")
# None begins with what makes a cell of a table a formula.
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")
# No price or amount is near; beyond it even printing a number in plain notation would take much memory.
_LARGEST_EXPONENT = 60
_LONGEST_NUMBER = 1000
# Gives a fraction exactly as printed, or raises `DecimalException` where it is far from any price; zero it lets pass.
fraction = Context(
    prec=_LONGEST_NUMBER,
    Emin=-_LARGEST_EXPONENT,
    Emax=_LARGEST_EXPONENT,
    traps=[Clamped, FloatOperation, Inexact, InvalidOperation, Overflow, Rounded, Subnormal, Underflow],
).create_decimal
_LEAST, _MOST = Decimal(f"1e-{_LARGEST_EXPONENT}"), Decimal(f"1e{_LARGEST_EXPONENT}")
_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant)
_TEXT_DECODER = json.JSONDecoder(parse_float=str, parse_constant=_no_constant)
_scan = _DECODER.scan_once  # type: ignore[attr-defined]  # typeshed leaves it out
# What `direction` gives for all that was seen.
_DIRECTIONS: dict[str, tuple[Side, str | None]] = {
    side if kind is None else f"{side}_{kind}": (side, kind)
    for side in get_args(Side)
    for kind in (None, "market", "maker", "ioc", "fok")
}
_FRACTIONS = {f".{ms:03}": ms for ms in range(1000)}
_seconds_ms: dict[str, int] = {}  # text of a second -> its moment; replaced entry by entry, so threads may share it
_SECONDS_KEPT = 64
# Epoch seconds reach this in the year 5138, epoch milliseconds did in 1973.
_FIRST_MS = 100_000_000_000
_BEFORE_NAME = re.compile(r"[\s{,]*")
_BEFORE_MEMBER = re.compile(r"[\s:]*")
_KINDS = {dict: "an object", list: "a list", bool: "true or false", type(None): "null"}


class BadValueError(Exception):
    """A value is not what its place demands; the dialect turns it into a `DecodeError` that quotes the frame."""


def parsed(frame: str) -> Mapping[str, object]:
    """Read a frame as a JSON object whose fractions are `Decimal`, exactly as printed.

    Raises:
        DecodeError: It is not JSON, not an object, holds NaN or Infinity, or could not be written to a file as UTF-8.
    """
    try:
        content = json_value(frame)
        if not frame.isascii():
            frame.encode()
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise DecodeError(f"it is not JSON ({quoted(str(error))})", frame) from None
    if not isinstance(content, dict):
        raise DecodeError(f"it is {shown(content)}, not an object", frame)
    return content


def json_value(text: str) -> object:
    """Read JSON whose fractions are `Decimal`, or text where one of them may be too long for a number.

    Raises what the library raises, mostly `ValueError`.
    """
    if len(text) > _LONGEST_NUMBER:
        return _TEXT_DECODER.decode(text)
    try:
        content, end = _scan(text, 0)
    except StopIteration:
        end = -1
    # With white space around it, or with nothing in it.
    return content if end == len(text) else _DECODER.decode(text)


def json_text(content: Mapping[str, object]) -> str:
    """Write a frame."""
    return json.dumps(content, separators=(",", ":"))


def member(fields: Mapping[str, object], key: str) -> object:
    """Give what stands under a key, or say that it is missing."""
    try:
        return fields[key]
    except KeyError:
        raise BadValueError(f"{key!r} is missing") from None


def member_text(frame: str, key: str) -> str:
    """Give what stands under a key exactly as printed: `1E5` stays `1E5`, an object keeps its spaces.

    Args:
        frame: What `parsed` has read; nothing is checked a second time.
        key: One that the frame has at its top; the last one counts where it has several.
    """
    read = json.JSONDecoder().raw_decode
    text = ""
    at = _end(_BEFORE_NAME, frame, 0)
    while frame[at] != "}":
        name, at = read(frame, at)
        start = _end(_BEFORE_MEMBER, frame, at)
        _, at = read(frame, start)
        if name == key:
            text = frame[start:at]
        at = _end(_BEFORE_NAME, frame, at)
    return text


def mapping(content: object, name: str) -> Mapping[str, object]:
    """Give a JSON object."""
    if not isinstance(content, dict):
        raise BadValueError(f"{name} is {shown(content)}, not an object")
    return content


def rows(content: object, name: str) -> list[object]:
    """Give a JSON list."""
    if not isinstance(content, list):
        raise BadValueError(f"{name} is {shown(content)}, not a list")
    return content


def decimal(content: object, name: str) -> Decimal:
    """Give a number exactly as the exchange printed it, from a JSON number or from text."""
    if not isinstance(content, str | int | Decimal) or isinstance(content, bool):
        raise BadValueError(f"{name} is {shown(content)}, not a number")
    text = str(content)
    if not _NUMBER.fullmatch(text):
        raise BadValueError(f"{name} is {shown(text)}, not a number")
    number = Decimal(text)
    if len(text) > _LONGEST_NUMBER or abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise BadValueError(f"{name} is {quoted(text)}, far from any price or amount")
    return number


def price(content: object, name: str) -> Decimal:
    """Give a number that is 0 or more; quick for what is usual."""
    if type(content) is Decimal and _LEAST <= content <= _MOST:
        return content
    if type(content) is str and len(content) <= _LONGEST_NUMBER and _NUMBER.fullmatch(content):
        number = Decimal(content)
        if _LEAST <= number <= _MOST:
            return number
    return positive(content, name)


def figure(content: object, name: str = "") -> Decimal | None:
    """Give a number, or None for None; quick for what is usual."""
    if type(content) is Decimal and (_LEAST <= content <= _MOST or -_MOST <= content <= -_LEAST):
        return content
    return None if content is None else decimal(content, name)


def decimal_or_none(fields: Mapping[str, object], key: str) -> Decimal | None:
    """Give a number, or None where the key is missing or null."""
    content = fields.get(key)
    return None if content is None else decimal(content, key)


def positive(content: object, name: str) -> Decimal:
    """Give a number that is 0 or more."""
    number = decimal(content, name)
    if number < 0:
        raise BadValueError(f"{name} is {number}, below zero")
    return number


def whole(content: object, name: str) -> int:
    """Give a whole number."""
    if type(content) is int and 0 <= content <= _MOST:
        return content
    number = decimal(content, name)
    if number != number.to_integral_value():
        raise BadValueError(f"{name} is {number}, not a whole number")
    return int(number)


def pair_name(content: object) -> str:
    """Give a pair as this package spells it."""
    if isinstance(content, str) and _is_known_pair(content):
        return content
    raise BadValueError(f"the pair is {shown(content)}, not spelt like btc_usdt")


_is_known_pair = lru_cache(maxsize=4096)(is_pair)


def word(content: object) -> str | None:
    """Give a short name such as a node's, or None when it is anything else."""
    return content if isinstance(content, str) and _WORD.fullmatch(content) else None


def direction(content: object) -> tuple[Side, str | None]:
    """Split the exchange's direction: `buy_market` is (`buy`, `market`), `sell` is (`sell`, None)."""
    try:
        return _DIRECTIONS[content]  # type: ignore[index]  # anything may be looked for
    except (KeyError, TypeError):
        pass
    text = word(content)
    side, _, rest = (text or "").lower().partition("_")
    if side == "buy":
        return "buy", word(rest)
    if side == "sell":
        return "sell", word(rest)
    raise BadValueError(f"the direction is {shown(content)}, neither buy nor sell")


def side_or_none(content: object) -> Side | None:
    """Give the side of a direction where it is an extra, None where it is neither buy nor sell."""
    try:
        return direction(content)[0]
    except BadValueError:
        return None


def utc8(content: object, name: str) -> datetime:
    """Read a moment that the exchange prints as wall clock of UTC+8 without an offset.

    Source: docs/reference/wire.md, "V2 clock".
    """
    try:
        moment = datetime.fromisoformat(content)  # type: ignore[arg-type]  # a TypeError is caught
        if moment.tzinfo is not None:
            raise BadValueError(f"{name} has an offset where none is expected")
        return moment.replace(tzinfo=_UTC8).astimezone(timezone.utc)
    except (TypeError, ValueError, OverflowError):
        raise BadValueError(f"{name} is {shown(content)}, not a moment like 2026-09-06T13:29:39.031") from None


def utc8_ms(content: object, name: str) -> float:
    """Read such a moment as milliseconds of Unix time; quick for the second that was read last."""
    try:
        return _seconds_ms[content[:19]] + _FRACTIONS[content[19:]]  # type: ignore[index]  # a TypeError is caught
    except (TypeError, KeyError):
        pass
    moment = utc8(content, name)
    text = str(content)
    if text[19:] in _FRACTIONS:
        if len(_seconds_ms) >= _SECONDS_KEPT:
            _seconds_ms.clear()
        _seconds_ms[text[:19]] = round((moment.timestamp() - moment.microsecond / 1e6) * 1000)
    return moment.timestamp() * 1000


def utc8_text(moment: datetime) -> str:
    """Print an aware moment the way the exchange expects it, or raise `UsageError` when it has no time zone."""
    if moment.tzinfo is None:
        raise UsageError(f"{moment!r} has no time zone; write datetime(..., tzinfo=timezone.utc)")
    return moment.astimezone(_UTC8).replace(tzinfo=None).isoformat(timespec="seconds")


def epoch(content: object, name: str) -> datetime:
    """Read a moment given in seconds or milliseconds of Unix time."""
    number = whole(content, name)
    try:
        return _EPOCH + (timedelta(milliseconds=number) if number >= _FIRST_MS else timedelta(seconds=number))
    except OverflowError:
        raise BadValueError(f"{name} is out of range") from None


def shown(content: object) -> str:
    """Say what came, for an error."""
    return quoted(repr(content)) if isinstance(content, str) else _KINDS.get(type(content), "a number")


def _end(gap: re.Pattern[str], frame: str, at: int) -> int:
    """Give where a gap ends that starts here; a gap may be empty."""
    found = gap.match(frame, at)
    return at if found is None else found.end()
