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


@pytest.mark.slow
def test_the_benchmark_of_the_feed_sees_every_message(tmp_path):
    """A figure of messages that never came would be worse than none; TLS and several lines take their own paths."""
    found = tmp_path / "feed.json"
    command = [sys.executable, ROOT / "benchmarks" / "feed.py", "--quick", "--cases", "mix", "--out", found]

    subprocess.run([*command, "--only", "lbank_ws"], cwd=ROOT, capture_output=True, timeout=50, check=True)

    runs = [run for run in json.loads(found.read_text())["feed"] if run["subject"] == "lbank_ws"]
    assert [run["case"] for run in runs] == ["mix, plain", "mix, TLS"]
    assert [run["flood"]["messages"] for run in runs] == [10_000, 10_000]
    assert all(0 < run["pace"]["p50_us"] <= run["pace"]["p99_us"] <= run["pace"]["p999_us"] for run in runs)


@pytest.mark.slow
def test_the_benchmark_of_scale_can_be_made_a_page(tmp_path):
    """What makes the page is run once in a release, when nobody has time to repair it."""
    found, page = tmp_path / "scale.json", tmp_path / "performance.md"
    scale = [sys.executable, ROOT / "benchmarks" / "scale.py", "--quick", "--only", "starts,growth", "--growth", "5000"]

    subprocess.run([*scale, "--out", found], cwd=ROOT, capture_output=True, timeout=50, check=True)
    report = [sys.executable, ROOT / "benchmarks" / "report.py", found, "--to", page]
    subprocess.run(report, cwd=ROOT, capture_output=True, timeout=20, check=True)

    (growth,) = json.loads(found.read_text())["scale"]["growth"]
    assert growth["messages"] == 5_000
    assert "| lbank_ws | 5,000" in page.read_text()


@pytest.mark.slow
def test_the_benchmark_of_the_collector_verifies_what_it_kept():
    """Messages that were counted and not kept would make any collector quick."""
    command = [sys.executable, ROOT / "benchmarks" / "collect.py", "--pairs", "3", "--rate", "300", "--for", "3"]

    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=55, check=True)

    found = json.loads(run.stdout)
    assert found["subscriptions"] == 9
    assert 200 < found["events_per_s"] < 400
    assert (found["dropped"], found["problems"], found["exit_code"]) == (0, 0, 0)
