"""No public name goes away, and no parameter of one, without somebody saying so.

tests/public_api.txt is the recorded state: a line for each public name, and for each parameter of what can be called. A
name that is added may be there or not; one that is recorded must be in the code. To take a name away on purpose, or to
record what a release adds: `python -m tests.test_public_api`, and a line in CHANGELOG.md about what to write instead.
Once there is a tag, `griffe check lbank_ws` compares with that, types and defaults too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

griffe = pytest.importorskip("griffe")

ROOT = Path(__file__).parent.parent
RECORD = Path(__file__).with_name("public_api.txt")
PUBLIC = ("lbank_ws", "lbank_ws.sandbox")


def surface() -> set[str]:
    """Give every public name with its dots, and `name(parameter)` for each parameter."""
    package = griffe.load("lbank_ws", search_paths=[str(ROOT)], resolve_aliases=True)
    found: set[str] = set()
    for module in PUBLIC:
        home = package if module == "lbank_ws" else package[module.removeprefix("lbank_ws.")]
        for name in home.exports or ():
            found |= set(names(f"{module}.{name}", home[str(name)]))
    return found


def names(path: str, known: griffe.Object | griffe.Alias) -> Iterator[str]:
    """Give a name, its parameters, and what is inside it."""
    yield path
    if known.is_function or known.is_class:
        for parameter in known.parameters:
            if parameter.name not in ("self", "cls") and not parameter.name.startswith("_"):
                yield f"{path}({parameter.name})"
    if known.is_class:
        for inside, member in known.all_members.items():
            if not inside.startswith("_"):
                yield from names(f"{path}.{inside}", member)


def test_every_recorded_public_name_is_still_there():
    """Programs of others import these names; one that is renamed breaks them in the night."""
    recorded = set(RECORD.read_text(encoding="utf-8").split())

    assert sorted(recorded - surface()) == []


def test_the_record_is_of_the_public_names():
    """A record of nothing guards nothing."""
    recorded = set(RECORD.read_text(encoding="utf-8").split())

    for name in (
        "LBankClient.run(until)",
        "LBankClient.book",
        "Ticker.last",
        "GaveUp.attempts",
        "sandbox.Sandbox.fault",
    ):
        assert f"lbank_ws.{name}" in recorded


if __name__ == "__main__":
    RECORD.write_text("".join(f"{name}\n" for name in sorted(surface())), encoding="utf-8")
