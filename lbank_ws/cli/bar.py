"""A bar that shows how far a long command is; on a terminal alone, and where rich is installed (extra `cli`)."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Protocol


class Ended(Exception):
    """The command was told to end."""


class Bar(Protocol):
    """Shows how far something is."""

    def show(self, done: int, of: int, more: str = "") -> None:
        """Say how much is done, of how much."""


class _Nothing:
    def show(self, done: int, of: int, more: str = "") -> None:
        """Show nothing."""


class _Rich:
    def __init__(self, name: str, stack: ExitStack) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[more]}"),
        )
        self._bars = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
        self._task = self._bars.add_task(name, more="")

    def show(self, done: int, of: int, more: str = "") -> None:
        """Say how much is done, of how much."""
        self._bars.update(self._task, completed=done, total=of, more=more)


def bar_of(name: str, stack: ExitStack, *, is_quiet: bool) -> Bar:
    """Give a bar where a person looks, which goes with the stack; else nothing."""
    if is_quiet or not sys.stderr.isatty():
        return _Nothing()
    try:
        return _Rich(name, stack)
    except ImportError:
        return _Nothing()
