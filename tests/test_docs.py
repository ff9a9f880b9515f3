"""The documentation says what the code does."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import inspect
import json
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType

import pytest

from lbank_ws import errors, events, storage_errors, trading_errors

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "lbank_ws"
DOCS = ROOT / "docs"
MADE = {ROOT / name for name in (ROOT / ".gitignore").read_text("utf-8").split()}  # by docs/conf.py
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(set(DOCS.rglob("*.md")) - MADE)]
WIRE = DOCS / "reference" / "wire.md"

ERROR_CLASSES = [
    known
    for known in {**vars(errors), **vars(storage_errors), **vars(trading_errors)}.values()
    if isinstance(known, type) and issubclass(known, errors.LBankError)
]
EVENT_CLASSES = [
    *(events.Ticker, events.Depth, events.Level, events.Trade, events.Kline, events.Status, events.Gap),
    *(events.OrderUpdate, events.BalanceUpdate, events.Fill),
]


def draw_states() -> ModuleType:
    """Load docs/draw_states.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("draw_states", DOCS / "draw_states.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ +(.+?) *$", without_code(text), flags=re.MULTILINE)


def anchors(page: Path) -> list[str]:
    """Give a page's headings as GitHub's links spell them."""
    text = page.read_text(encoding="utf-8")
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(text)]


def section(text: str, heading: str) -> str:
    """Give what stands under a heading of the second level."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, flags=re.DOTALL | re.MULTILINE)
    assert found is not None, f"there is no section {heading!r}"
    return found[1]


def rows(text: str) -> Iterator[list[str]]:
    """Give the cells of every table row, heads and rules left out."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        is_head = number + 1 < len(lines) and lines[number + 1].startswith("|---")
        if line.startswith("|") and not line.startswith("|---") and not is_head:
            yield [cell.strip() for cell in line.strip().strip("|").split("|")]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def firsts(text: str) -> set[str]:
    """Give every name in the first column of a section's tables."""
    return {name for cells in rows(text) for name in names(cells[0])}


def documented_attributes(known: type) -> set[str]:
    """Give what a docstring lists under `Attributes:`."""
    _, _, listed = inspect.cleandoc(known.__doc__ or "").partition("Attributes:\n")
    return set(re.findall(r"^    (\w+):", listed, flags=re.MULTILINE))


def fields_of(event: type) -> set[str]:
    """Give the fields of an event and what can be asked of it."""
    own = getattr(event, "_fields", ()) or [field.name for field in dataclasses.fields(event)]
    asked = [name for name, member in inspect.getmembers(event) if isinstance(member, property)]
    return {*own, *asked, *(["channel"] if hasattr(event, "channel") else [])}


# Diagrams.


def test_the_state_diagrams_are_those_of_the_code():
    """A reader who trusts the picture must not meet another machine."""
    page = read("design.md")

    assert page == draw_states().redrawn(page), "run: python docs/draw_states.py"


# Errors.


@pytest.mark.parametrize("known", ERROR_CLASSES, ids=lambda known: known.__name__)
def test_every_error_is_explained_with_its_attributes(known):
    """Who catches an error looks its class up."""
    text = section(read("reference/errors.md"), known.__name__)

    assert documented_attributes(known) <= set(names(text))


@pytest.mark.parametrize("known", ERROR_CLASSES, ids=lambda known: known.__name__)
def test_what_an_error_says_ends_with_a_link_that_leads_to_its_section(known):
    """Whoever reads the message finds the cure; a class that makes its own `__str__` would lose the link."""
    error = known.__new__(known)
    page, _, anchor = error.link.partition("#")

    assert "__str__" not in vars(known) or known is errors.LBankError
    assert anchor in anchors(DOCS / "reference" / f"{page}.md")
    if known is not errors.LBankError:
        text = section(read("reference/errors.md"), known.__name__)
        assert "**Whose fault:**" in text
        assert "**Cure:**" in text


def test_every_error_has_its_way_out_and_no_other_name_has():
    """Which errors to catch, and where, is the first thing to know about them."""
    table = firsts(section(read("reference/errors.md"), "Three ways out"))

    assert table == {known.__name__ for known in ERROR_CLASSES} - {"LBankError"}


def test_every_cause_of_a_lost_line_is_explained():
    """A cause in a log must lead to a cure."""
    told = firsts(section(read("reference/errors.md"), "ConnectionLost"))

    assert told == {str(cause) for cause in errors.Cause} | documented_attributes(errors.ConnectionLost)


# Events.


@pytest.mark.parametrize("event", EVENT_CLASSES, ids=lambda event: event.__name__)
def test_every_field_of_an_event_is_explained_and_no_other(event):
    """A field that is not told is not found; one that is told must be there."""
    page = read("reference/events.md")
    told = firsts(section(page, event.__name__))
    shared = firsts(section(page, "Every event of the exchange"))
    is_pushed = issubclass(event, events.PushedEvent)

    assert fields_of(event) == (told | shared if is_pushed else told)


# Rooms.


def rooms() -> list[tuple[list[str], str]]:
    """Give every row of the table: its files, and what it may import."""
    return [(names(cells[0]), cells[2]) for cells in rows(section(read("design.md"), "The rooms"))]


def dotted(room: str) -> str:
    return "lbank_ws." + room.removesuffix(".py").strip("/").replace("/", ".")


def imported(source: Path) -> Iterator[str]:
    """Give every module of this package that a file imports."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lbank_ws"):
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                path = ROOT / module.replace(".", "/")
                yield module if path.is_dir() or path.with_suffix(".py").exists() else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("lbank_ws"))


def is_in(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def test_every_room_of_the_table_exists_and_every_file_has_a_room():
    """The table is where a newcomer starts; what is not in it, nobody decides."""
    told = [room for files, _ in rooms() for room in files]
    sources = [
        source.relative_to(PACKAGE).as_posix()
        for source in PACKAGE.rglob("*.py")
        if source.name not in ("__init__.py", "__main__.py")
    ]

    missing = [room for room in told if not (PACKAGE / room).exists()]
    homeless = [source for source in sources if not any(source == room or source.startswith(room) for room in told)]

    assert (missing, homeless) == ([], [])


def test_no_room_imports_more_than_the_table_says():
    """Imports that point up make a room impossible to read, or to test, alone."""
    table = rooms()
    broken = []
    for number, (files, may) in enumerate(table):
        above = [dotted(room) for known, _ in table[:number] for room in known]
        allowed = above if may == "everything above" else [dotted(room) for room in names(may)]
        allowed += [dotted(room) for room in files]
        for room in files:
            path = PACKAGE / room
            for source in [path] if path.is_file() else path.rglob("*.py"):
                foreign = [module for module in imported(source) if not any(is_in(module, known) for known in allowed)]
                broken += [f"{source.relative_to(ROOT)} imports {module}" for module in foreign]

    assert broken == []


# Citations and links.


def test_every_citation_in_the_code_leads_to_a_section():
    """A source that cannot be found is no source."""
    broken = []
    for source in sorted(PACKAGE.rglob("*.py")):
        text = re.sub(r"\n[ \t]*#?[ \t]*", " ", source.read_text(encoding="utf-8"))
        for path, quoted in re.findall(r'([\w./-]+\.md)(?:, "([^"]+)")?', text):
            page = ROOT / path if "/" in path else DOCS / "reference" / path
            is_there = page.is_file() or (ROOT / path).is_file()
            if not is_there or (quoted and quoted not in headings(page.read_text(encoding="utf-8"))):
                broken.append(f"{source.relative_to(ROOT)}: {path} {quoted}")

    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_quoted_file_of_a_page_exists(page):
    """A dead link ends a reader's way."""
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(text))
    broken = []
    for link in links:
        path, _, fragment = link.partition("#")
        target = page if not path else page.parent / path
        if "://" in link or link.startswith("mailto:"):
            continue
        if not target.exists() or (fragment and fragment not in anchors(target)):
            broken.append(link)
    for quoted in names(text):
        if quoted.startswith("tests/samples/"):
            broken += [] if list(ROOT.glob(quoted)) else [quoted]
        elif quoted.endswith(".json"):
            broken += [] if list((ROOT / "tests" / "samples").rglob(quoted)) else [quoted]

    assert broken == []


# The page of the wire.


def test_every_source_that_the_wire_page_names_is_listed_and_used():
    """A statement about somebody else's exchange is worth as much as its source."""
    text = WIRE.read_text(encoding="utf-8")
    body, _, ledger = text.partition("## Sources")
    listed = {cells[0] for cells in rows(ledger)}
    marks = re.findall(r"\[([MDCI](?: [^]]+)?)\]", body)
    claims = [claim.split(maxsplit=1) for mark in marks for claim in mark.split(";")]
    used = {source.split()[0] for claim in claims if len(claim) == 2 for source in claim[1].split(",")}
    without_source = [claim for claim in claims if len(claim) == 1 and claim != ["I"]]

    assert (used, without_source) == (listed, [])


def test_private_samples_prove_the_clock():
    """Every time of the exchange hangs on this: its clock is UTC+8, and no frame says so."""
    ahead_s = []
    for sample in (ROOT / "tests" / "samples" / "v2").glob("*_update_*.json"):
        frame = json.loads(json.loads(sample.read_text(encoding="utf-8"))["frame"])
        content = frame.get("orderUpdate") or frame.get("data")
        if content:
            wall_s = datetime.fromisoformat(frame["TS"]).replace(tzinfo=timezone.utc).timestamp()
            ahead_s.append(round(wall_s - (content.get("updateTime") or content["time"]) / 1000 - 8 * 3600, 3))

    on_time = [late_s for late_s in ahead_s if 0.001 <= late_s <= 0.030]

    assert len(on_time) == len(ahead_s) - 1 >= 5


def test_every_link_of_llms_txt_exists():
    """It is the map that programs read; a dead link sends them guessing."""
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / "llms.txt").read_text(encoding="utf-8"))

    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_troubleshooting_has_the_symptoms_that_people_search_for():
    """They paste the words that they see."""
    told = " / ".join(headings(read("troubleshooting.md")))

    for words in ("8 hours off", "Invalid order pairs", "10008", "Nothing comes", "403", "429", "proxy"):
        assert words in told


# Claims.


CLAIMS = (ROOT / "README.md", ROOT / "SECURITY.md", DOCS / "reliability.md")


@pytest.mark.parametrize("page", CLAIMS, ids=lambda page: page.name)
def test_every_test_that_a_claim_names_exists(page):
    """A promise is worth the test behind it; a name that leads nowhere is no proof."""
    named = re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", page.read_text(encoding="utf-8"))
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file() or (name and f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8"))
    ]

    assert named
    assert missing == []


def test_every_claim_of_the_readme_names_a_test():
    """What others do not do has to be shown."""
    table = read("../README.md").partition("| | shown by |")[2].partition("\n\n")[0]

    claims = list(rows(table))

    assert len(claims) > 20
    assert [cells[0] for cells in claims if "tests/" not in cells[-1]] == []


def test_every_row_of_the_reliability_page_names_a_test_or_says_that_there_is_none():
    """A row without either would look like a promise."""
    table = [cells for cells in rows(read("reliability.md")) if re.match(r"[NDSO]\d\d", cells[0])]

    assert [cells[0] for cells in table if "tests/" not in cells[-1] and "not yet" not in cells[-1]] == []
    assert {cells[0] for cells in table} >= {f"N{number:02}" for number in range(1, 27)}
