"""The practice exchange: LBank's two WebSocket dialects on a port of this machine, with a seeded market behind them.

It imports nothing from the rest of `lbank_ws`: a server made of the client's own encoders would agree with the
client's mistakes. Starting it needs the package aiohttp; importing it does not.
"""

from lbank_ws.sandbox.floor import VisitorView
from lbank_ws.sandbox.replay import Replayer
from lbank_ws.sandbox.server import Sandbox

__all__ = ["Replayer", "Sandbox", "VisitorView"]
