"""Draws the state diagrams of design.md from the tables in the code: `python docs/draw_states.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lbank_ws.feed import states, wanted

PAGE = Path(__file__).with_name("design.md")
TABLES: dict[str, Mapping[Any, Mapping[Any, Any]]] = {"line": states.MOVES, "subscription": wanted.MOVES}


def drawn(moves: Mapping[Any, Mapping[Any, Any]]) -> str:
    """Give a table as a Mermaid diagram: the first state is the beginning, a state without moves an end."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {next(iter(moves)).value}"]
    for state, ways in moves.items():
        lines += [f"    {state.value} --> {target.value}: {signal.value}" for signal, target in ways.items()]
        lines += [] if ways else [f"    {state.value} --> [*]"]
    return "\n".join([*lines, "```"])


def redrawn(page: str) -> str:
    """Give a page with every diagram between its markers drawn anew."""
    for name, moves in TABLES.items():
        between = re.compile(rf"(?<=<!-- states:{name} -->\n).*?(?=<!-- /states:{name} -->)", re.DOTALL)
        if len(between.findall(page)) != 1:
            raise ValueError(f"{PAGE.name} needs the markers of states:{name} exactly once")
        page = between.sub(drawn(moves) + "\n", page)
    return page


if __name__ == "__main__":
    PAGE.write_text(redrawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
