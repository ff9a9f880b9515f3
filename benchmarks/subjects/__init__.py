"""Who is measured, by name; each ends in a callback that gets a typed event.

A subject is a function that takes a `Feed`, subscribes, and calls `feed.tally` with what its callbacks see.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from tally import Tally

REFERENCE = "picows+orjson"


@dataclass(frozen=True)
class Feed:
    """What a subject is to listen to.

    Attributes:
        url: The generator, `ws://` or `wss://`; the path is the subject's own business.
        kinds: `tick`, `trade`, `depth`, or several.
        ca_file: Whom to trust, for `wss://`.
        tally: Whom to tell.
    """

    url: str
    kinds: tuple[str, ...]
    ca_file: str
    tally: Tally

    @property
    def is_tls(self) -> bool:
        """Whether the line is encrypted."""
        return self.url.startswith("wss")

    def subscriptions(self) -> list[str]:
        """Give what to send to LBank."""
        asked = [{"action": "subscribe", "subscribe": kind, "pair": "btc_usdt"} for kind in self.kinds]
        return [json.dumps({**each, "depth": "100"} if each["subscribe"] == "depth" else each) for each in asked]


@dataclass(frozen=True)
class Subject:
    """One of them.

    Attributes:
        place: Module and function, `raw.with_picows`.
        needs: Modules that must be installed.
        protocol: Whose messages it reads.
        variables: What its environment says.
        haste: So many times as many messages make a flood, so that it lasts long enough to be measured.
        is_tls_only: Whether it refuses `ws://`.
    """

    place: str
    needs: tuple[str, ...] = ()
    protocol: str = "lbank"
    variables: dict[str, str] = field(default_factory=dict)
    haste: int = 1
    is_tls_only: bool = False

    def missing(self) -> list[str]:
        """Give what it needs and does not find."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]

    def load(self) -> Callable[[Feed], None]:
        """Give its function."""
        module, name = self.place.rsplit(".", 1)
        return cast(Callable[[Feed], None], getattr(importlib.import_module(f"subjects.{module}"), name))


SUBJECTS = {
    "lbank_ws": Subject("ours.listen", variables={"LBANK_WS_FAST": "0"}, haste=2),
    "lbank_ws+fast": Subject("ours.listen", ("msgspec",), haste=2),
    REFERENCE: Subject("raw.with_picows", ("picows", "orjson"), haste=4),
    "picows+orjson+same-events": Subject("raw.with_picows_same_events", ("picows", "orjson"), haste=4),
    "picows+orjson+uvloop": Subject("raw.with_picows_uvloop", ("picows", "orjson", "uvloop"), haste=4),
    "aiohttp+orjson": Subject("raw.with_aiohttp_orjson", ("aiohttp", "orjson"), haste=4),
    "aiohttp": Subject("raw.with_aiohttp", ("aiohttp",), haste=4),
    "websockets+orjson": Subject("raw.with_websockets_orjson", ("websockets", "orjson"), haste=4),
    "websockets": Subject("raw.with_websockets", ("websockets",), haste=4),
    "websockets-sync": Subject("raw.with_websockets_sync", ("websockets",), haste=4),
    "websocket-client+tuned": Subject("raw.with_websocket_client_tuned", ("orjson",), haste=4),
    "websocket-client": Subject("raw.with_websocket_client"),
    "ccxt.pro": Subject("others.with_ccxt", ("ccxt",)),
    "pybit": Subject("others.with_pybit", ("pybit",), "bybit"),
    "cryptofeed": Subject("others.with_cryptofeed", ("cryptofeed",), "bybit", is_tls_only=True),
    "python-binance": Subject("others.with_python_binance", ("binance",), "binance"),
}
