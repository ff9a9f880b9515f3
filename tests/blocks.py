"""Runs what a page prints, as its reader would.

The rules of a page:

- A block is fenced as `python`, `sh`, `console` or `text`; other languages are not run.
- A comment in the line above a fence, `<!-- word: more -->`, is for this runner: `file: price.py` says under which name
  a python block is saved; each test tells which other words it knows.
- `text` is what the command above it prints, as a shape: a number stands for any number, `buy` for either side, a blank
  for any. Its lines come in this order, with any of them in between as often as it likes; a line `...` stands for lines
  of any other shape.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent

_FENCED = re.compile(r"(?:^<!-- (\w+): (.*?) -->\n)?^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
_VARIABLE = re.compile(r"(?P<number>[+-]?\d[\d.]*(?:E[+-]?\d+)?)|(?P<side>\b(?:buy|sell)\b)|(?P<blank> +)")
_STANDS_FOR = {"number": r"[+-]?\d[\d.]*(?:E[+-]?\d+)?", "side": "(?:buy|sell)", "blank": " +"}


class Block(NamedTuple):
    """One fenced block.

    Attributes:
        section: The heading it stands under.
        language: The word behind its fence.
        text: What stands in it.
        word: The first word of the comment above it, or an empty text.
        more: The rest of that comment.
    """

    section: str
    language: str
    text: str
    word: str = ""
    more: str = ""

    def __str__(self) -> str:
        return f"{self.section}: {self.text.splitlines()[0]}"


def blocks(page: Path) -> list[Block]:
    """Give the blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in _FENCED.finditer(text):
        word, more, language, content = fence.groups()
        above = _HEADING.findall(re.sub(_FENCED, "", text[: fence.start()]))
        found.append(Block(above[-1] if above else "", language, content, word or "", more or ""))
    return found


def prose(page: Path, section: str) -> str:
    """Give what a page says under a heading, without its blocks."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    found = re.search(rf"^#+ {re.escape(section)}$(.*?)(?=^#|\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None, f"{page.name} has no section {section!r}"
    return found[1]


class Shape:
    """What the output of a command looks like."""

    def __init__(self, text: str) -> None:
        lines = text.splitlines()
        self.is_open = "..." in lines
        self._lines = [_pattern(line) for line in lines if line not in ("", "...")]

    def came(self, output: str) -> bool:
        """Tell whether every line has come, in order."""
        lines = iter(_whole_lines(output))
        return all(any(wanted.fullmatch(line) for line in lines) for wanted in self._lines)

    def strangers(self, output: str) -> list[str]:
        """Give the lines that the page does not show."""
        if self.is_open:
            return []
        return [line for line in _whole_lines(output) if line and not any(one.fullmatch(line) for one in self._lines)]


def _pattern(line: str) -> re.Pattern[str]:
    text, at = "", 0
    for found in _VARIABLE.finditer(line):
        text += re.escape(line[at : found.start()]) + _STANDS_FOR[str(found.lastgroup)]
        at = found.end()
    return re.compile(text + re.escape(line[at:]))


def _whole_lines(output: str) -> list[str]:
    """Give the lines that are written to their end."""
    return [line.rstrip() for line in output.split("\n")[:-1]]


class Running:
    """A command that runs; its two outputs are one text."""

    def __init__(self, process: subprocess.Popen[str], out: Path) -> None:
        self._process = process
        self._out = out

    @property
    def text(self) -> str:
        """What it has printed."""
        return self._out.read_text(encoding="utf-8")

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself, or was made to."""
        return self._process.poll() is not None

    def until(self, is_so: Callable[[str], object], what: str, timeout_s: float = 20.0) -> None:
        """Wait until its output is as wanted, or it ends; fail with the output when it is not."""
        try:
            wait_until(lambda: is_so(self.text) or self.has_ended, timeout_s, what)
        except AssertionError as late:
            raise AssertionError(f"{late}; it printed:\n{self.text}") from None
        assert is_so(self.text), f"{what} did not come; it printed:\n{self.text}"

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.killpg(self._process.pid, signal.SIGINT)

    def code(self, timeout_s: float = 10.0) -> int:
        """Wait for its end and give its exit code."""
        return self._process.wait(timeout_s)


class Shell:
    """A terminal in a folder, with `python`, `pytest` and `lbank-ws` being those that run the test.

    Args:
        folder: Where commands run.
        variables: What is set beside the environment; addresses of an exchange in that are left out.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str] | None = None) -> None:
        self.folder = folder / "work"
        self._outputs = folder / "outputs"
        commands = folder / "bin"
        for made in (self.folder, self._outputs, commands):
            made.mkdir()
        modules = {"python": "", "pytest": "-m pytest", "lbank-ws": "-m lbank_ws"}
        for name, module in modules.items():
            command = commands / name
            command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
            command.chmod(0o755)
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("LBANK_")}
        self._variables = {
            **inherited,
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            **(variables or {}),
        }
        self._count = 0

    def save(self, name: str, text: str) -> Path:
        """Write a file into the folder."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    @contextmanager
    def running(self, command: str) -> Iterator[Running]:
        """Run one simple command, redirections included; it is gone at the end, whatever it does."""
        self._count += 1
        out = self._outputs / f"{self._count}.txt"
        with out.open("w") as file:
            process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"],  # a shell in between would take Ctrl-C for itself
                cwd=self.folder,
                env=self._variables,
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,  # as in a terminal: Ctrl-C reaches all of it, and nobody else
            )
        try:
            yield Running(process, out)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
