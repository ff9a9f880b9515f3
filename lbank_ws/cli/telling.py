"""How a command says that it failed: what, why, what next, in three lines on standard error.

By convention the last part of an error's sentence, behind "; ", says what to do; it becomes the third line.
"""

from __future__ import annotations

import sys

from lbank_ws.errors import LBankError


def three_lines(who: str, sentence: str, why: str, otherwise: str) -> str:
    """Give the three lines.

    Args:
        who: The command: `lbank-ws watch`.
        sentence: What went wrong, and behind the last "; " what to do about it.
        why: The reason, or what kind of failure it is.
        otherwise: What to do, where the sentence does not say.
    """
    what, _, cure = sentence.rpartition("; ")
    if not what:
        what, cure = sentence, otherwise
    return f"{who}: {what}\n  why:  {why}\n  next: {cure}"


def told(who: str, error: LBankError) -> str:
    """Give the three lines for an error: the second is the first line of what its class says about itself."""
    why = (type(error).__doc__ or type(error).__name__).partition("\n")[0].replace("`", "")
    return f"{three_lines(who, error.sentence(), why, f'{who} --help')} (docs: {error.link})"


def say(text: str) -> None:
    """Write a line for people, beside the data."""
    print(text, file=sys.stderr, flush=True)
