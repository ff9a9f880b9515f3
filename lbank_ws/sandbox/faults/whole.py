"""Faults of the whole exchange, on the socket and over REST at once: maintenance, a delisted pair, a wrong clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from lbank_ws.sandbox.faults.fault import Answer, Call, Fault, Memory, Plan
from lbank_ws.sandbox.faults.frames import CHANNELS, Close, Frame, Number, Out, printed
from lbank_ws.sandbox.frames import simple_error, v2_error

_NOT_SUPPORTED, _CLOSED = 10008, 10601  # LBank's codes: pair not supported, interface closed
_UP = ("/v2/supplement/system_ping.do", "/v2/supplement/system_status.do", "/v2/timestamp.do")


@dataclass(frozen=True, kw_only=True)
class Delisted(Fault):
    """A pair is gone: new subscriptions are refused, old ones fall silent, REST does not know it any more.

    Source: docs/reference/wire.md, "What goes wrong in practice". That old subscriptions get silence and no error is an
    assumption, and so is code 10008 over REST; a subscription to a pair on its last day would settle both.

    Args:
        pair: Which one.
    """

    pair: str

    def frame(self, frame: Frame, memory: Memory) -> list[Out]:
        """Swallow pushes; the private ones tell of orders that are being cancelled, and go on."""
        return [] if frame.channel in CHANNELS.values() and frame.is_about(self.pair, None) else [frame]

    def heard(self, said: dict[str, Any], memory: Memory) -> list[str] | None:
        """Refuse new subscriptions and requests in the dialect's own words."""
        if memory.dialect == "v2":
            channel = said.get(str(said.get("action")))
            asks = said.get("action") in ("subscribe", "request") and isinstance(channel, str) and channel in CHANNELS
            if not asks or str(said.get("pair")).lower() != self.pair:
                return None
            words = f"Invalid order pairs:[{self.pair}],remoteIp is: [{memory.remote_ip}]"
            return [v2_error(words, memory.at_ms)]
        symbol = self.pair.replace("_", "")
        if symbol not in str(said.get("sub")).split("."):
            return None
        return [simple_error(said.get("id"), "bad-symbol", f"invalid symbol {symbol}", memory.at_ms)]

    def rest(self, call: Call, rng: Random) -> Plan | None:
        """Refuse calls that name it, but for those that look at or end orders which are still there."""
        is_open = any(word in call.path for word in ("cancel", "orders_info", "history"))
        if call.pair != self.pair or is_open:
            return None
        return Plan(is_carried_out=False, answer=_refusal(_NOT_SUPPORTED, "currency pair nonsupport", call.at_ms))

    def rest_said(self, call: Call, said: dict[str, Any]) -> None:
        """Take it out of every list of pairs."""
        if isinstance(said.get("data"), list):
            said["data"] = [each for each in said["data"] if not self._is_it(each)]

    def _is_it(self, listed: object) -> bool:
        return listed == self.pair or (isinstance(listed, dict) and listed.get("symbol") == self.pair)


@dataclass(frozen=True, kw_only=True)
class Maintenance(Fault):
    """The exchange closes its lines, lets nobody in, and tells over REST that it is down.

    Source: docs/reference/wire.md, "REST" (`system_status.do` says "0"). The close code, the 503 and the error code are
    assumptions; one hour of announced maintenance would settle them.

    Args:
        code: Of the close frames.
        error_code: What REST answers; `system_ping.do`, `system_status.do` and `timestamp.do` go on.
        retry_after_s: Sent with the 503 of a handshake; left out, none is sent.
    """

    code: int = field(default=1001, metadata={"least": 0, "most": 65535})
    error_code: int = field(default=_CLOSED, metadata={"least": 1})
    retry_after_s: int | None = field(default=None, metadata={"least": 0})

    def due(self, memory: Memory) -> list[Out]:
        """Close the line."""
        return [Close(self.code, "maintenance")]

    def handshake(self, rng: Random) -> Answer | None:
        """Let nobody in."""
        headers = () if self.retry_after_s is None else (("Retry-After", str(self.retry_after_s)),)
        return Answer(503, "<html><body>503 maintenance</body></html>", headers=headers)

    def rest(self, call: Call, rng: Random) -> Plan | None:
        """Refuse everything but the questions whether it is up."""
        if call.path in _UP:
            return None
        return Plan(is_carried_out=False, answer=_refusal(self.error_code, "system maintenance", call.at_ms))

    def rest_said(self, call: Call, said: dict[str, Any]) -> None:
        """Tell that it is down."""
        if not call.path.endswith("/system_status.do"):
            return
        if isinstance(said.get("data"), dict):
            said["data"]["status"] = "0"
        else:
            said["data"] = {"status": "0"}


@dataclass(frozen=True, kw_only=True)
class ClockSkew(Fault):
    """The exchange's clock is wrong: every `TS` and `ts`, and `/v2/timestamp.do`.

    Source: a network: any machine's clock; of LBank's nothing is known. Bars keep their starts. Signatures are judged
    by the wrong clock too, so that a client which signs by its own gets 10600.

    Args:
        by_s: How far it is ahead; below zero, behind.
    """

    by_s: float

    def frame(self, frame: Frame, memory: Memory) -> list[Out]:
        """Move its times."""
        if '"TS"' not in frame.text and '"ts"' not in frame.text:
            return [frame]
        said = frame.said()
        for place in (said, *(each for each in said.values() if isinstance(each, dict))):
            if isinstance(place.get("TS"), str):
                moved = datetime.fromisoformat(place["TS"]) + timedelta(seconds=self.by_s)
                place["TS"] = moved.isoformat(timespec="milliseconds")
            if isinstance(place.get("ts"), Number):
                place["ts"] = Number(int(place["ts"]) + round(self.by_s * 1000))
        return [frame.saying(said)]

    def skew_s(self) -> float:
        """Tell how far the exchange's clock is ahead."""
        return self.by_s


def _refusal(error_code: int, words: str, at_ms: int) -> Answer:
    said = {"msg": words, "result": "false", "error_code": error_code, "ts": at_ms}
    return Answer(200, printed(said), "application/json")
