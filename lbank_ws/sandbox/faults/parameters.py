"""How a fault is chosen by its name, and which parameters it takes.

Decided here: what a value may be, and what is said to who writes another one. What the parameters mean is decided in
the kinds.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from lbank_ws.sandbox.faults import books, dials, endings, rest, transport, whole  # noqa: F401 - they fill FAULTS
from lbank_ws.sandbox.faults.fault import FAULTS, Fault
from lbank_ws.sandbox.faults.frames import CHANNELS


def make_fault(name: str, parameters: Mapping[str, object]) -> Fault:
    """Make a fault from its name and parameters; numbers may be text.

    Raises:
        ValueError: There is no such fault or parameter, or a value does not fit; it says what to write.
    """
    if name not in FAULTS:
        near = _near(name, FAULTS) or f"; the faults are {', '.join(sorted(FAULTS))}"
        raise ValueError(f"there is no fault {name!r}{near}")
    kind = FAULTS[name]
    known = {each.name: each for each in fields(kind)}
    types = get_type_hints(kind)
    read: dict[str, Any] = {}
    for key, given in parameters.items():
        if key not in known:
            theirs = ", ".join(known) or "none"
            raise ValueError(f"{name} has no parameter {key!r}{_near(key, known)}; its parameters: {theirs}")
        read[key] = _fitting(f"{name}: {key}", given, types[key], known[key].metadata)
    missing = [each.name for each in known.values() if each.default is MISSING and each.name not in read]
    if missing:
        raise ValueError(f"{name} needs {' and '.join(missing)}, for example {missing[0]}={_EXAMPLES[missing[0]]}")
    return kind(**read)


def check_reach(fault: Fault, pairs: Collection[str]) -> None:
    """Object to a fault of a pair or channel that nobody can ever see.

    Raises:
        ValueError: It is one; it says what there is.
    """
    pair, channel = getattr(fault, "pair", None), getattr(fault, "channel", None)
    if pair is not None and pair not in pairs:
        raise ValueError(f"{fault.name}: the pair {pair!r} is not listed here; listed are {', '.join(pairs)}")
    known = (*CHANNELS.values(), *_PRIVATE)
    if channel is not None and channel not in known:
        raise ValueError(f"{fault.name}: there is no channel {channel!r}; the channels are {', '.join(known)}")


def parameters_of(fault: Fault) -> dict[str, object]:
    """Give the parameters of a fault that are not at their default."""
    return {each.name: getattr(fault, each.name) for each in fields(fault) if getattr(fault, each.name) != each.default}


def summary_of(kind: type[Fault]) -> str:
    """Give the first sentence of a kind's docstring."""
    return " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].split())


def signature_of(kind: type[Fault]) -> dict[str, str]:
    """Give each parameter of a kind, and what it is when it is left out, as it is written in a script."""
    return {each.name: "needed" if each.default is MISSING else _written(each.default) for each in fields(kind)}


_PRIVATE = ("orderUpdate", "assetUpdate")
_EXAMPLES = {"pair": "btc_usdt", "by_s": "5"}


def _written(default: object) -> str:
    return "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


def _near(wrong: str, right: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(wrong, right, n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def _fitting(what: str, given: object, wanted: Any, bounds: Mapping[str, Any]) -> object:
    """Give a value of the wanted type, read from text if need be."""
    if get_origin(wanted) in (Union, UnionType):
        if given is None:
            return None
        (wanted,) = (each for each in get_args(wanted) if each is not NoneType)
    if get_origin(wanted) is Literal:
        if given not in get_args(wanted):
            raise ValueError(f"{what} is one of {', '.join(map(str, get_args(wanted)))}, not {given!r}")
        return given
    if wanted is bool:
        if str(given).lower() not in ("true", "false"):
            raise ValueError(f"{what} is true or false, not {given!r}")
        return str(given).lower() == "true"
    if wanted is str:
        if not isinstance(given, str):
            raise ValueError(f"{what} is a text, not {given!r}")
        return given
    return _number(what, given, wanted, bounds)


def _number(what: str, given: object, wanted: type, bounds: Mapping[str, Any]) -> int | float:
    try:
        if isinstance(given, bool):
            raise ValueError
        number: int | float = wanted(str(given))
    except ValueError:
        raise ValueError(f"{what} is a {'whole ' if wanted is int else ''}number, not {given!r}") from None
    least, most = bounds.get("least", -math.inf), bounds.get("most", math.inf)
    if not least <= number <= most or math.isinf(number):
        reach = f"between {least} and {most}" if math.isfinite(most) else f"at least {least}"
        raise ValueError(f"{what} is {reach}, not {given!r}")
    return number
