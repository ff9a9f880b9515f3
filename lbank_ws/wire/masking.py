"""What of a frame may be kept: everything but credentials and IP addresses.

Decided here: what counts as a secret, by its name, by its look, or because it was sent as one. Pure functions; a
market frame comes back exactly as it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection

from lbank_ws.quoting import without_addresses

MASK = "***"

_SHORTEST_SECRET = 8  # what is shorter is more likely a word or a number of the market
_NAMES = r"(?:api|access|secret|subscribe|listen)[_-]?key|secret|sign|signature|passphrase|password"
_HINTS = ("key", "secret", "sign", "pass")  # one of them is in each name
_QUOTE = r"""(?:\\*["'])"""
_CONTENT = rf"""(?:"(?:[^"\\]|\\.)*"|\[[^\]]*\]|(?P<open>{_QUOTE})(?P<quoted>.*?)(?P=open)|[^\s,}}\]]+)"""
# "subscribeKey":"...", in whichever quotes; in a frame that quotes another one they stand behind backslashes.
_NAMED = re.compile(
    rf"(?P<before>(?P<quote>{_QUOTE})(?:{_NAMES})(?P=quote)\s*:\s*)(?P<content>{_CONTENT})", re.IGNORECASE | re.DOTALL
)
# api_key=...&sign=..., as in the text that is signed.
_QUERY = re.compile(rf"(?P<before>\b(?:{_NAMES})=)(?P<content>[^&\s\"',}}\]]+)", re.IGNORECASE)
_IS_LOGIN = re.compile(rf"{_QUOTE}op{_QUOTE}\s*:\s*{_QUOTE}(?:auth|login){_QUOTE}", re.IGNORECASE)
_ARGUMENTS = re.compile(rf"(?P<before>{_QUOTE}args{_QUOTE}\s*:\s*\[)(?P<content>[^\]]*)", re.IGNORECASE)
_WORD = re.compile(r"""[^\s,"'\\\[\]]+""")
# A subscribe key, or an HMAC-SHA256. A number has no letter; ids of trades have 32 digits.
_LONG_HEX = re.compile(r"(?<![0-9A-Za-z])(?=[0-9]*[a-fA-F])[0-9a-fA-F]{64,}(?![0-9A-Za-z])")
# What no address lacks, and far quicker to look for.
_DOTS = re.compile(r"\.[0-9]{1,3}\.")
_COLONS = re.compile(r":(?:[0-9a-fA-F]{0,4}:){3}")
_LONGEST_HARMLESS = 63
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_DEEPEST = 4  # how many quoted frames inside one another are looked into


def masked(text: str, known: Collection[str] = ()) -> str:
    """Give a frame without credentials and IP addresses; one that has none comes back unchanged.

    Args:
        text: A frame in either direction, or any other text from outside.
        known: Secrets that were sent, from `secrets_in`; they are masked wherever they stand.
    """
    return _masked(text, known, _DEEPEST)


def secrets_in(text: str) -> set[str]:
    """Give the credentials that a frame of ours carries, so that an answer that echoes them can be masked."""
    found: set[str] = set()
    for match in (*_NAMED.finditer(text), *_QUERY.finditer(text), *_logins(text)):
        found.update(word for word in _WORD.findall(match["content"]) if _is_secret(word))
    return found


def may_hold_address(text: str) -> bool:
    """Tell, quickly, whether to look for IP addresses; False only where there is none."""
    return bool(_DOTS.search(text) or "::" in text or _COLONS.search(text) or "remoteIp" in text)


def _masked(text: str, known: Collection[str], depth: int) -> str:
    if "\\" not in text:
        return _hidden(text, known)
    # An escaped letter would hide a name or a key from the patterns, so they see what the text means.
    plain = _TOKEN.sub(lambda token: _respelt(token[0], known, 0), text)
    shown = _hidden(_TOKEN.sub(lambda token: _respelt(token[0], known, depth), text), known)
    return text if shown == plain else shown


def _respelt(token: str, known: Collection[str], depth: int) -> str:
    """Give a JSON string without needless escapes; with a depth above 0, masked."""
    if "\\" not in token:
        return token
    try:
        content = json.loads(token, strict=False)
    except ValueError:
        return token
    return json.dumps(_masked(content, known, depth - 1) if depth else content)


def _hidden(text: str, known: Collection[str]) -> str:
    """Mask what the patterns see.

    Each pattern takes long over a book of two hundred levels, and finds nothing; so a quick look comes first.
    """
    for secret in known:
        text = text.replace(secret, MASK)
    lower = text.lower()
    if any(word in lower for word in _HINTS):
        text = _QUERY.sub(rf"\g<before>{MASK}", _NAMED.sub(_named_mask, text))
    if "args" in lower and _IS_LOGIN.search(text):
        text = _ARGUMENTS.sub(lambda found: found["before"] + _WORD.sub(MASK, found["content"]), text)
    if max(map(len, text.split(","))) > _LONGEST_HARMLESS:
        text = _LONG_HEX.sub(MASK, text)
    return without_addresses(text) if may_hold_address(text) else text


def _named_mask(found: re.Match[str]) -> str:
    quote = found["open"] or '"'
    return f"{found['before']}{quote}{MASK}{quote}"


def _logins(text: str) -> list[re.Match[str]]:
    return list(_ARGUMENTS.finditer(text)) if _IS_LOGIN.search(text) else []


def _is_secret(word: str) -> bool:
    # The time stamp of a log-in is all digits, and stands in market frames too.
    return len(word) >= _SHORTEST_SECRET and not word.isdigit() and word != MASK
