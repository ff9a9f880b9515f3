"""`lbank-ws completion SHELL`: what a shell needs to complete the command line; needs the extra `cli` (shtab)."""

from __future__ import annotations

import argparse

from lbank_ws.errors import MissingExtra

SHELLS = ("bash", "zsh", "fish")
_EPILOG = """examples:
  lbank-ws completion bash
  lbank-ws completion zsh

To switch it on for good:
  bash  lbank-ws completion bash > ~/.local/share/bash-completion/completions/lbank-ws
  zsh   lbank-ws completion zsh > _lbank-ws, in a folder of $fpath
  fish  lbank-ws completion fish > ~/.config/fish/completions/lbank-ws.fish
"""


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "completion",
        help="completion for bash, zsh and fish",
        description="Print a script with which a shell completes lbank-ws.",
        epilog=_EPILOG,
    )
    command.add_argument("shell", choices=SHELLS)
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from lbank_ws.cli import parser_of_all
    from lbank_ws.cli.exits import Exit

    try:
        import shtab
    except ImportError:
        raise MissingExtra("shtab", "cli") from None
    print(shtab.complete(parser_of_all(), args.shell))
    return Exit.DONE
