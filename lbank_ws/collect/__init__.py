"""The collector: a client whose callbacks write down what comes, so that its coverage is known afterwards.

Nothing is decided here. `segments` is the source of truth on the disk, `ledger` tells what is missing, `manifest` sums
a run up, `verifying` checks all of it; `loading` reads it again, `exporting` makes tables of it, `candles` bars.
"""

from __future__ import annotations

from lbank_ws.collect.candles import Candle, candles
from lbank_ws.collect.exporting import Exported, export
from lbank_ws.collect.loading import Loaded, load

__all__ = ["Candle", "Exported", "Loaded", "candles", "export", "load"]
