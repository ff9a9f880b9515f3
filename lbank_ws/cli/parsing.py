"""How help and complaints look: examples first, and three lines for what cannot be carried out.

A command writes its examples as the first paragraph of its `epilog`: `example: lbank-ws watch btc_usdt`, or `examples:`
and a line each, in which two blanks begin a remark. tests/test_cli_help.py runs them.
"""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from lbank_ws.cli.exits import Exit
from lbank_ws.cli.telling import three_lines


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Leaves room for the name of every command."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)


class Parser(argparse.ArgumentParser):
    """A parser whose help begins with examples and whose errors are what, why, what next."""

    def __init__(self, *args: object, **options: object) -> None:
        options["formatter_class"] = _Formatter
        super().__init__(*args, **options)  # type: ignore[arg-type]  # what argparse itself takes

    @property
    def examples(self) -> list[str]:
        """The commands that help shows, without their remarks."""
        return [line.strip().split("  ")[0] for line in self._shown if line.strip().startswith(self.prog.split()[0])]

    def format_help(self) -> str:
        """Give the help: examples, usage, arguments, and what else there is to say."""
        epilog, self.epilog = self.epilog, self._rest
        try:
            text = super().format_help()
        finally:
            self.epilog = epilog
        return "\n".join(["examples:", *self._shown, "", text]) if self._shown else text

    def error(self, message: str) -> NoReturn:
        """Say what cannot be carried out, and end."""
        why = "the command line cannot be carried out as written"
        print(three_lines(self.prog, message, why, f"{self.prog} --help shows how it is written"), file=sys.stderr)
        sys.exit(Exit.USAGE)

    @property
    def _shown(self) -> list[str]:
        lines = (self.epilog or "").partition("\n\n")[0].splitlines()
        if not lines or not lines[0].startswith("example"):
            return []
        rest = lines[0].partition(":")[2].strip()
        return ([f"  {rest}"] if rest else []) + lines[1:]

    @property
    def _rest(self) -> str | None:
        if not self._shown:
            return self.epilog
        return (self.epilog or "").partition("\n\n")[2] or None
