"""The report of a store: one page, safe, whole in itself, and looked at in a real browser."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from lbank_ws.causes import GapCause
from lbank_ws.channels import topic
from lbank_ws.cli import main
from lbank_ws.collect import ledger, load
from lbank_ws.collect.digest import Ages, digest
from lbank_ws.collect.report import embedded, page
from lbank_ws.events import Gap, Receipt
from lbank_ws.sinks.seen import for_report
from tests.chromium import chromium, opened_page
from tests.test_export import AT, NS, RUN, Store, bar, book, trade

PAGE = Path(__file__).parent.parent / "lbank_ws" / "collect" / "page"
VENDOR = PAGE / "vendor"
EVIL = '</script><script>alert(1)</script><!-- %%data%% & "\u2028'


def filled(root: Path) -> Store:
    """Give a store with two minutes of everything, and a hole."""
    made = Store(root)
    ns = [NS + number * 10**9 for number in range(120)]
    made.add(topic("trade", "btc_usdt"), [trade(number) for number in range(120) if not 40 < number < 60])
    made.add(topic("depth", "btc_usdt"), [book(number) for number in range(0, 120, 2)])
    made.add(topic("kline", "btc_usdt"), [bar(0, 2, ns=ns[1]), bar(0, 3, ns=ns[2])])
    made.add(topic("trade", "eth_usdt"), [trade(5, pair="eth_usdt")])
    hole = Gap(
        topic("trade", "btc_usdt"),
        AT + timedelta(seconds=40),
        AT + timedelta(seconds=60),
        GapCause.LINE_LOST,
        missing_before=AT + timedelta(seconds=50),
    )
    ledger.append(root, [ledger.gap_row(hole, RUN)])
    return made


# What it says.


def test_a_digest_counts_everything_that_was_kept(tmp_path):
    """Every version of a bar as well: it is what the line brought."""
    said = digest(load(filled(tmp_path / "data").root))

    rows = {row["topic"]: (row["events"], row["gaps"]) for row in said["summary"]}
    assert rows == {
        "depth/btc_usdt/20": (60, 0),
        "kline/btc_usdt/1min": (2, 0),
        "trade/btc_usdt": (101, 1),
        "trade/eth_usdt": (1, 0),
    }
    btc = said["pairs"][0]
    assert sum(btc["rate"]) * said["step_s"] == 163
    assert not [one for one in btc["candles"] if AT.timestamp() + 40 < one[0] < AT.timestamp() + 60]


def test_the_map_says_when_data_is_missing(tmp_path):
    """What could be fetched of a hole is not missing."""
    said = digest(load(filled(tmp_path / "data").root))

    (row,) = (row for row in said["map"]["rows"] if row["topic"] == "trade/btc_usdt")
    width = said["map"]["width_s"]
    assert sum(row["missing"]) * width == pytest.approx(10, abs=0.1)


def test_ages_are_told_to_within_a_tenth():
    """The page says so."""
    ages = Ages()
    for number in range(1, 1001):
        ages.add(number / 1000)

    assert [ages.at(part) for part in (0.5, 0.95, 0.99)] == [
        pytest.approx(wanted, rel=0.1) for wanted in (0.5, 0.95, 0.99)
    ]
    assert Ages().at(0.5) is None


def test_a_page_grows_with_no_store(tmp_path):
    """A month of a pair must be opened as fast as an hour."""
    made = Store(tmp_path / "data")
    for day in range(30):
        moment = NS + day * 86_400 * 10**9
        at = AT + timedelta(days=day)
        made.add(topic("trade", "btc_usdt"), [trade(0, receipt=Receipt(moment), traded_at=at, exchange_at=at)] * 3)

    said = digest(load(made.root))

    assert said["step_s"] == 7200
    assert len(said["pairs"][0]["times"]) <= 402


# How it is put together.


def test_no_text_in_the_data_ends_the_script():
    """A name that comes from outside must stay a name."""
    text = page({"store": EVIL})

    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert json.loads(found[1]) == {"store": EVIL}
    assert text.count("<script") == 4
    assert not set("<>&\u2028") & set(embedded({"store": EVIL}))


def test_a_page_asks_for_nothing():
    """It is opened from a folder, on machines without a network, and given to others."""
    text = page({})

    assert "default-src 'none'" in text
    assert "unsafe-eval" not in text
    assert not re.search(r"<(?:script|img|iframe)[^>]+src=|<link[^>]+href=\"(?!data:,)", text)
    assert text.count("sha256-") == 3


def test_what_others_wrote_is_what_was_taken_over():
    """A changed script in a page that people trust must be seen."""
    told = dict(reversed(line.split()) for line in (VENDOR / "SHA256SUMS").read_text().splitlines())

    assert told == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.iterdir()
        if path.name not in ("SHA256SUMS", "README.md")
    }
    readme = (VENDOR / "README.md").read_text()
    assert all(name in readme for name in told)
    assert "Apache License" in (VENDOR / "lightweight-charts.LICENSE").read_text()
    assert "MIT License" in (VENDOR / "uPlot.LICENSE").read_text()


def test_the_files_of_the_page_are_installed_with_the_package():
    """A report from an installed package must find them."""
    settings = (PAGE.parent.parent.parent / "setup.cfg").read_text()

    assert "collect/page/*" in settings
    assert "collect/page/vendor/*" in settings


# The command.


def test_the_command_writes_one_page(tmp_path, capsys):
    """And nothing beside it."""
    root = filled(tmp_path / "data").root
    out = tmp_path / "report.html"

    assert main(["report", str(root), "-o", str(out)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "report.html"]
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert "report.html" in capsys.readouterr().out


def test_what_each_collector_has_seen_is_in_the_report_of_its_time():
    """Minutes in which everybody had everything say nothing; those before and behind the store are not its concern."""
    first = int(AT.timestamp()) // 60 * 60
    minutes = {
        datetime.fromtimestamp(first + 60 * number, timezone.utc): counts
        for number, counts in enumerate([{"b": 9}, {"a+b": 5}, {"a+b": 4, "a": 1}, {"b": 2}, {"a": 7}])
    }

    said = for_report(minutes, "redis://host", first + 60, first + 180)

    assert said["names"] == ["a", "b", "a+b"]
    assert said["minutes"] == [[first + 120, 1, 0, 4], [first + 180, 0, 2, 0]]
    assert said["total"] == [1, 2, 9]
    assert (said["even"], said["left_out"]) == (1, 0)
    assert for_report({}, "redis://host", first, first + 60)["names"] == []


def test_a_report_that_cannot_be_written_is_told(tmp_path, capsys):
    """With the exit code of a disk that refuses."""
    root = filled(tmp_path / "data").root

    assert main(["report", str(root), "-o", str(tmp_path / "no" / "report.html")]) == 74
    assert "cannot write" in capsys.readouterr().err


# In a browser.


@pytest.mark.slow
@pytest.mark.skipif(chromium() is None, reason="needs Chromium: apt-get install chromium")
def test_a_browser_shows_it_without_a_complaint_or_a_request(tmp_path):
    """In the light, in the dark, on paper, with the keyboard, and when there is nothing to show."""
    root = filled(tmp_path / "data").root
    full, empty, evil = (tmp_path / f"{name}.html" for name in ("full", "empty", "evil"))
    said = digest(load(root))
    minutes = {AT.replace(second=0): {"a": 3, "a+b": 4}}
    said["seen"] = for_report(minutes, "redis://host", said["begin_s"], said["end_s"])
    full.write_text(page(said), encoding="utf-8")
    empty.write_text(page(digest(load(Store(tmp_path / "none").root))), encoding="utf-8")
    said = digest(load(root))
    said["store"] = said["pairs"][0]["pair"] = said["summary"][0]["topic"] = said["holes"][0]["cause"] = EVIL
    said["seen"] = for_report({AT.replace(second=0): {EVIL: 3}}, EVIL, said["begin_s"], said["end_s"])
    evil.write_text(page(said), encoding="utf-8")

    with opened_page(tmp_path) as shown:
        grounds = {}
        for scheme in ("light", "dark"):
            shown.open(full, scheme=scheme)
            grounds[scheme] = shown.value("getComputedStyle(document.body).backgroundColor")
            shown.picture(tmp_path / f"{scheme}.png")
        canvases = shown.value("document.querySelectorAll('#charts canvas').length")
        is_too_wide = shown.value("document.documentElement.scrollWidth > innerWidth")
        shown.value("document.querySelector('#map figure').focus()")
        shown.press("ArrowRight")
        told = shown.value("document.querySelector('#map output').textContent")
        shown.value("document.querySelector('#charts figure').focus()")
        shown.press("ArrowRight")
        candle = shown.value("document.querySelector('#charts output').textContent")
        cells = "[...document.querySelectorAll('#seen tbody tr:last-child td')].map((cell) => cell.textContent).join()"
        seen = shown.value(cells)
        shown.open(full, width=400)
        is_too_wide_for_a_telephone = shown.value("document.documentElement.scrollWidth > innerWidth")
        shown.open(full, scheme="dark")
        shown.printed(tmp_path / "print.pdf")
        shown.open(empty)
        words = shown.value("document.body.innerText")
        has_seen = shown.value("!document.getElementById('seen').hidden")
        shown.open(evil)
        who = shown.value("document.querySelector('#seen th:last-child').textContent")
        title = shown.value("document.getElementById('title').textContent")

        assert shown.complaints == []
        assert set(shown.requests) == {path.as_uri() for path in (full, empty, evil)}
    assert grounds == {"light": "rgb(255, 255, 255)", "dark": "rgb(19, 22, 26)"}
    assert canvases > 8
    assert not is_too_wide
    assert not is_too_wide_for_a_telephone
    assert "depth/btc_usdt/20" in told
    assert "% missing" in told
    assert candle.startswith("2026-11-22 10:15:00: open 19")
    assert "Nothing is in this store" in words
    assert "There is nothing to draw." in words
    assert title == EVIL
    assert who == EVIL
    assert not has_seen, "without --seen nothing is said of it"
    assert seen == "2026-11-22 10:15:00,3,4"
    assert all((tmp_path / name).stat().st_size > 20_000 for name in ("light.png", "dark.png", "print.pdf"))
