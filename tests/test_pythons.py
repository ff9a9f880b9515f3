"""Every Python that README promises runs the client: those that are on this machine are tried."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from lbank_ws.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
OTHERS = [minor for minor in (10, 11, 12, 13) if minor != sys.version_info.minor]
PROGRAM = """
import dataclasses, pickle, sys
from lbank_ws import LBankClient

client = LBankClient(url=sys.argv[1], rest_url=sys.argv[2])
seen = {}

@client.on_ticker("btc_usdt")
@client.on_trade("btc_usdt")
@client.on_depth("btc_usdt")
def note(event):
    moments = event.exchange_at, getattr(event, "traded_at", None), event.source, event.late, event.age_s is not None
    same = pickle.loads(pickle.dumps(event)) == event == dataclasses.replace(event)
    try:
        event.pair = "eth_usdt"
    except dataclasses.FrozenInstanceError:
        same = same and repr(event) != "" and all(moments[:1])
        seen[type(event).__name__] = same

client.run(for_s=20, until=lambda: len(seen) == 3)
print(sys.version_info.minor, sorted(seen.items()))
"""


def _python(minor: int) -> str | None:
    """Give a Python of that version: one on the PATH, or one of pyenv's."""
    found = [shutil.which(f"python3.{minor}")]
    found += map(
        str, Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser().glob(f"versions/3.{minor}.*/bin/python")
    )
    for each in found:
        if each and subprocess.run([each, "-c", ""], capture_output=True, timeout=20, check=False).returncode == 0:
            return each
    return None


@pytest.mark.parametrize("minor", OTHERS)
def test_client_runs_on_every_python_that_is_promised(minor: int):
    """What differs between them, such as the slots of a dataclass, shows nowhere else."""
    python = _python(minor)
    if python is None:
        pytest.skip(f"there is no python3.{minor} on the PATH: install it")
    # Packages of this Python that are not compiled serve the others as well; nothing else is needed.
    paths = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    variables = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}

    with Sandbox(pairs=["btc_usdt"]) as box:
        run = subprocess.run(
            [python, "-c", PROGRAM, box.v2_url, box.rest_url],
            env=variables,
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )

    assert (run.stdout.strip(), run.returncode) == (
        f"{minor} [('Depth', True), ('Ticker', True), ('Trade', True)]",
        0,
    ), run.stderr
