"""How text from outside is quoted: on one line, cut, without IP addresses, and without the secrets of this process.

Whoever holds a secret that travels names it to `hide`, so that an answer which echoes it cannot bring it into an error
or a log.
"""

from __future__ import annotations

import re

MASK = "***"
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

_SHORTEST_SECRET = 8  # what is shorter stands in every second text
_MOST_SECRETS = 1000
_secrets: dict[str, None] = {}  # entries come and go whole, so threads may share it


def hide(secret: str) -> None:
    """Mask a secret in everything that is quoted from now on; of very many the oldest are forgotten."""
    if len(secret) < _SHORTEST_SECRET:
        return
    _secrets[secret] = None
    while len(_secrets) > _MOST_SECRETS:
        _secrets.pop(next(iter(_secrets)), None)


def hidden() -> tuple[str, ...]:
    """Give the secrets that `hide` was told."""
    return tuple(_secrets)


def without_addresses(text: str) -> str:
    """Give the text with every IP address replaced by `x.x.x.x`.

    The exchange echoes the client's address in its error frames.
    Source: docs/reference/wire.md, "V2 errors".
    """
    return _ADDRESSES.sub(lambda found: (found["label"] or "") + "x.x.x.x", text)


def quoted(text: str) -> str:
    """Give the start of a text from outside, fit for one line of an error: ASCII, no addresses, no control characters.

    What `hide` was told is masked in it. A text that is fit already comes back unchanged.
    """
    # Masked before it is cut: half an address, or half a secret, would not be recognised as one.
    start = text[:_SEARCHED_CHARACTERS]
    for secret in hidden():
        start = start.replace(secret, MASK)
    masked = without_addresses(start)
    shown = masked.translate(_CONTROLS).encode("ascii", "backslashreplace").decode("ascii")
    if max(len(shown), len(text)) <= QUOTED_CHARACTERS:
        return shown
    ending = f"... ({len(text)} characters)"
    return shown[: QUOTED_CHARACTERS - len(ending)] + ending
