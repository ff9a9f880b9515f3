"""How text from outside is quoted: on one line, cut, without IP addresses."""

from __future__ import annotations

import re

QUOTED_CHARACTERS = 200  # how long a text from outside may be in an error
_SEARCHED_CHARACTERS = 4096  # how much of it is searched for addresses, so that a huge frame costs no more
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F)}

# Four or more colons tell an IPv6 address from a time of day.
_ADDRESSES = re.compile(
    r"(?P<label>remoteIp is:\s*\[)[^\]]*"
    r"|(?<!\d)\d{1,3}(?:\.\d{1,3}){3}(?!\d)"
    r"|(?<!\w)(?:[0-9a-fA-F]{0,4}:){4,7}[0-9a-fA-F]{0,4}(?![\w:])"
    r"|(?<!\w)(?:[0-9a-fA-F]{1,4}:){1,6}:(?:[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){0,5})?(?![\w:])"
)


def without_addresses(text: str) -> str:
    """Give the text with every IP address replaced by `x.x.x.x`.

    The exchange echoes the client's address in its error frames.
    Source: docs/reference/wire.md, "V2 errors".
    """
    return _ADDRESSES.sub(lambda found: (found["label"] or "") + "x.x.x.x", text)


def quoted(text: str) -> str:
    """Give the start of a text from outside, fit for one line of an error: ASCII, no addresses, no control characters.

    A text that is fit already comes back unchanged.
    """
    # Masked before it is cut: half an address would not be recognised as one.
    masked = without_addresses(text[:_SEARCHED_CHARACTERS])
    shown = masked.translate(_CONTROLS).encode("ascii", "backslashreplace").decode("ascii")
    if max(len(shown), len(text)) <= QUOTED_CHARACTERS:
        return shown
    ending = f"... ({len(text)} characters)"
    return shown[: QUOTED_CHARACTERS - len(ending)] + ending
