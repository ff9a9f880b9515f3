"""Reads whole text messages in bulk, out of what one receive has brought.

websocket-client makes two or three receives and a select for each frame. Nearly all frames of an exchange are short,
whole text messages, and dozens of them come with one receive; those are taken here, and everything else, whatever
it is, is left where it stands for websocket-client. Pure: bytes come in, payloads come out.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache

from lbank_ws.quoting import quoted

log = logging.getLogger("lbank_ws")

_WHOLE_TEXT = 0x81  # the first byte of a text message in one frame, without extensions
_CONTROL = 0x08  # opcodes from here on are pings, pongs and closes, which may stand between fragments
_LAST = 0x80
_TWO_BYTES = 126  # in place of a length: the length follows, in two bytes
_KNOWN = re.compile(r"1\.9\.")


@lru_cache
def is_known(version: str) -> bool:
    """Tell whether this websocket-client keeps no bytes between two frames, as was tried; say once if it is not known.

    Where it is not, it reads every frame itself, which is slower and otherwise the same.
    """
    if _KNOWN.match(version):
        return True
    log.warning("websocket-client %s was not tried with the bulk reader; frames are read one by one", quoted(version))
    return False


class Reader:
    """Walks over the frames of one connection.

    Args:
        most_bytes: Of a message; a longer one is left to websocket-client, and to the budget that is kept there.

    Attributes:
        at: Where in the buffer the next byte stands that nobody has taken.
        is_short: Whether a whole text message begins there whose rest has not come.
    """

    __slots__ = ("_is_in_fragments", "_most_bytes", "at", "is_short")

    def __init__(self, most_bytes: int) -> None:
        self.at = 0
        self.is_short = False
        self._most_bytes = most_bytes
        self._is_in_fragments = False

    def texts(self, buffer: bytes, at: int) -> list[bytes]:
        """Give the payloads of the whole text messages from `at` on, up to the first frame that is anything else.

        `self.at` is where that one begins. It belongs to websocket-client; so do all that follow it while a message in
        fragments has not ended, for a text message in between breaks the protocol.
        """
        found: list[bytes] = []
        end = len(buffer)
        self.is_short = False
        while at < end and buffer[at] == _WHOLE_TEXT and not self._is_in_fragments:
            begin = at + 2
            size = buffer[at + 1] if begin <= end else 0
            if size == _TWO_BYTES:
                begin = at + 4
                size = buffer[at + 2] << 8 | buffer[at + 3] if begin <= end else 0
            elif size > _TWO_BYTES:
                break  # 64 KiB and more, or masked
            if begin - at + size > self._most_bytes:
                break
            if begin + size > end:
                self.is_short = True
                break
            at = begin + size
            found.append(buffer[begin:at])
        self.at = at
        if not found and at < end:
            self._leave(buffer[at])
        return found

    def message_ended(self) -> None:
        """Note that websocket-client has read a whole message."""
        self._is_in_fragments = False

    def _leave(self, first: int) -> None:
        """Note what kind of frame websocket-client is to read."""
        if not first & _CONTROL:
            self._is_in_fragments = not first & _LAST
