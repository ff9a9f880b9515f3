"""The benchmarks run; what they find is for people to judge."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.blocks import ROOT


@pytest.mark.slow
def test_the_benchmark_of_the_box_counts_what_its_clients_read():
    """A benchmark that nobody runs is broken on the day it is wanted."""
    command = [sys.executable, ROOT / "benchmarks" / "box.py", "--run", "2", "1", "--for", "0.5"]

    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=40, check=True)

    found = json.loads(run.stdout)
    assert found["lines"] == 2
    assert 0 < found["fewest"] <= found["most"] < found["frames"]
    assert 0 < found["memory_mb"] <= found["memory_peak_mb"] < 300
