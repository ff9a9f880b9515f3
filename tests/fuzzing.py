"""How long fuzz tests look: shortly in CI, a hundred times as long in `make soak`, where each run looks elsewhere."""

from __future__ import annotations

import os

TIMES = int(os.environ.get("LBANK_WS_FUZZ_TIMES", "1"))
IS_LONG = TIMES > 1
