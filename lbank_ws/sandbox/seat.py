"""One client of a replay: what it wants, what it is told, and what is answered at once.

Decided here: which recorded frame is for whom, and how long the tape waits for somebody. The tape is read in `tape.py`,
the time of each frame is kept in `replay.py`. Everything here runs on the loop of the replayer.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable

from lbank_ws.sandbox.recording import Frame
from lbank_ws.sandbox.tape import Name, Said, Tape, fits, said_by_client, said_by_exchange

_PATIENCE_S = 1.0  # how long the tape waits for a subscription that the recorded client made
_IMPATIENCE = 4  # by how much that shrinks each time that nobody came


class Seat:
    """One client: what it wants, and what it is told.

    Attributes:
        wanted: Its subscriptions, each with the id that it gave.
        pinged_s: When it was last asked whether it is there.
    """

    def __init__(self, tape: Tape) -> None:
        self.wanted: dict[Name, object] = {}
        self.pinged_s = time.monotonic()
        self._tape = tape
        self._patience_s = _PATIENCE_S
        self._changed = asyncio.Event()
        self._replied: dict[Name, int] = {}

    def received(self, text: str) -> list[str]:
        """Note what a client says, and give what is to be answered at once."""
        said = said_by_client(text)
        if said.kind == "ping":
            answer = {"action": "pong"} if self._tape.dialect == "v2" else {}
            return [_json({**answer, "pong": said.id})]
        if said.kind == "subscribe":
            self.wanted[said.name] = said.id
            self._changed.set()
            return self._objections(said)
        if said.kind == "unsubscribe":
            self.wanted.pop(said.name, None)
            self._changed.set()
        if said.kind == "request":
            return self._reply(said.name) or self._objections(said)
        return []

    def heard(self, frame: Frame, *, is_own: bool = True) -> list[str]:
        """Give a recorded frame if it is for this client, else nothing.

        Args:
            frame: It came from the exchange.
            is_own: It came on the recorded line whose lives the client's line shares; what names no subscription is for
                nobody else.
        """
        said = said_by_exchange(frame.text)
        if said.kind in ("other", "ping") and not is_own:
            return []
        if said.kind == "push":
            return [frame.text] if fits(said.name, self.wanted) else []
        if said.kind == "ping":
            self.pinged_s = time.monotonic()
        if said.kind in ("pong", "reply"):
            return []  # it gets its own
        name = said.name or self._tape.ids.get(str(said.id), ())
        if said.kind in ("ack", "refusal") and name:
            return [_with_id(frame.text, self.wanted[name])] if name in self.wanted else []
        if said.pairs and not any(part in said.pairs for name in self.wanted for part in name):
            return []
        return [frame.text]

    async def follow(self, said: Said) -> float:
        """Wait a moment until the client does what the recorded one did; give how long that took, in seconds."""
        if said.kind not in ("subscribe", "unsubscribe"):
            return 0.0
        began_s = time.monotonic()
        try:
            await asyncio.wait_for(
                self.until(lambda: (said.name in self.wanted) == (said.kind == "subscribe")), self._patience_s
            )
            self._patience_s = _PATIENCE_S
        except asyncio.TimeoutError:  # until Python 3.10 not the built-in one
            self._patience_s /= _IMPATIENCE
        return time.monotonic() - began_s

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what the client wants makes the condition true."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def ping(self) -> str:
        """Give a question of our own whether the client is there."""
        if self._tape.dialect == "v2":
            return _json({"action": "ping", "ping": str(uuid.uuid4())})
        return _json({"ping": time.time_ns() // 1_000_000})

    def _reply(self, name: Name) -> list[str]:
        """Give the next recorded answer to a request, and the last one from then on."""
        known = self._tape.replies.get(name, [])
        turn = self._replied.get(name, 0)
        self._replied[name] = turn + 1
        return known[min(turn, len(known) - 1) :][:1] if known else []

    def _objections(self, said: Said) -> list[str]:
        """Refuse what is not in the recording at all, as the exchange refuses a pair that it does not list."""
        asked = said.name[min(1, len(said.name) - 1)]
        if asked in self._tape.pairs or asked == "all":
            return []
        if self._tape.dialect == "simple":
            words = {"status": "error", "err-code": "bad-symbol", "err-msg": f"{asked} is not in the recording"}
            return [_json({"id": said.id, **words})]
        return [_json({"SERVER": "V2", "message": f"Invalid order pairs:[{asked}]", "status": "error"})]


def _with_id(text: str, wanted_id: object) -> str:
    """Give an answer of the simple dialect with the id that this client gave."""
    said = json.loads(text)
    return text if said.get("id") == wanted_id else _json({**said, "id": wanted_id})


def _json(content: dict[str, object]) -> str:
    return json.dumps(content, separators=(",", ":"))
