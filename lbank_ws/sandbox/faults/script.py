"""Scripts: which fault begins at which second. One line each, as words or as a JSON object; `#` begins a comment.

    # second  fault          parameters
    10        mute           pair=btc_usdt channel=depth for_s=10
    20.5      polite_close   code=1001 reason="back soon"
    30        late           bytes_a_second=14000 for_s=60
    {"at_s": 95, "name": "maintenance", "for_s": 20}

Seconds count from the first start of the box, in real time whatever the market's speed; in a box with `speed=0`, whose
time is played by `step()`, they are the market's, and a fault begins with the step that it falls into. Without `for_s`
a fault lasts until it is ended, and one that happens once is over at once. Parameters are those of the method
`Sandbox.fault`; a text with blanks stands in quotes. The faults stand in docs/reference/faults.md.
"""

from __future__ import annotations

import json
import math
import os
import shlex
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from lbank_ws.sandbox.faults.active import Planned
from lbank_ws.sandbox.faults.parameters import check_reach, make_fault

_EXAMPLE = "10 mute pair=btc_usdt for_s=5"


def read_script(script: str | os.PathLike[str] | Iterable[str], pairs: Collection[str]) -> list[Planned]:
    """Read a script for a box that lists these pairs.

    Args:
        script: A path, or the lines themselves.
        pairs: What is listed.

    Raises:
        OSError: The file cannot be read.
        ValueError: A line cannot be carried out; it says which, and what to write.
    """
    if isinstance(script, str | os.PathLike):
        where, lines = str(script), Path(script).read_text(encoding="utf-8").splitlines()
    else:
        where, lines = "faults", list(script)
    planned = []
    for number, line in enumerate(lines, 1):
        try:
            if (words := _words(line)) is not None:
                planned.append(_planned(*words))
                check_reach(planned[-1].fault, pairs)
        except ValueError as problem:
            raise ValueError(f"{where}, line {number}: {problem}") from None
    return planned


def seconds(what: str, given: object) -> float:
    """Read a number of seconds, zero or more.

    Raises:
        ValueError: It is none.
    """
    try:
        number = math.nan if isinstance(given, bool) else float(str(given))
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"{what} is a number of seconds, not {given!r}")
    return number


def _words(line: str) -> tuple[object, object, dict[str, Any]] | None:
    """Give a line's second, name and parameters, or None for an empty one."""
    if line.lstrip().startswith("{"):
        try:
            said: dict[str, Any] = json.loads(line)
        except ValueError as problem:
            raise ValueError(f"this is no JSON object: {problem}") from None
        if "at_s" not in said or "name" not in said:
            raise ValueError('a JSON line has at_s and name: {"at_s": 10, "name": "reset"}')
        return said.pop("at_s"), said.pop("name"), said
    words = shlex.split(line, comments=True)
    if not words:
        return None
    if len(words) == 1:
        raise ValueError(f"a line is a second, a fault, and parameters, for example: {_EXAMPLE}")
    at_s, name, *rest = words
    parameters: dict[str, Any] = {}
    for word in rest:
        key, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"a parameter is written name=value, not {word!r}, for example: {_EXAMPLE}")
        if key in parameters:
            raise ValueError(f"{key} is given twice")
        parameters[key] = value
    return at_s, name, parameters


def _planned(at_s: object, name: object, parameters: dict[str, Any]) -> Planned:
    for_s = parameters.pop("for_s", None)
    begins_s = seconds("the second at which it begins", at_s)
    return Planned(begins_s, make_fault(str(name), parameters), None if for_s is None else seconds("for_s", for_s))
