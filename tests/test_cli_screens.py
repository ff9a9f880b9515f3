"""What stands on the screens, as text at fixed sizes, in colour and without.

The market is a walk drawn by a seed. The pictures are files in tests/screens; those in colour have styles in brackets.
`python -m tests.test_cli_screens` draws them anew: look at what changed before you keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

pytest.importorskip("rich")
pytest.importorskip("candlestick_chart")

from lbank_ws.causes import Flaw
from lbank_ws.cli.board import Board
from lbank_ws.cli.chart import Chart
from lbank_ws.cli.drawing import aligned, bar, seconds, sparkline
from lbank_ws.cli.ladder import Ladder
from lbank_ws.cli.stage import Health, Screen
from lbank_ws.cli.tape import Tape
from lbank_ws.events import Depth, Kline, Level, Receipt, Ticker, Trade

SEED = 7
FOLDER = Path(__file__).parent / "screens"
BEGAN = datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc)
LIVE = Health("live")
PAIRS = {  # with the price that each begins at, and how often it is pushed: the last one is thin
    "btc_usdt": (Decimal("74016.25"), 0.2),
    "pepe_usdt": (Decimal("0.0000041375"), 0.5),
    "eth_btc": (Decimal("0.029781"), 20.0),
}


def receipt(after_s: float) -> Receipt:
    return Receipt(int((BEGAN.timestamp() + after_s) * 1e9))


def at(after_s: float) -> float:
    return BEGAN.timestamp() + after_s


def tickers() -> Iterator[tuple[float, Ticker]]:
    """Give a minute of prices, in order."""
    draw, found = Random(SEED), []
    for pair, (price, every_s) in PAIRS.items():
        step = Decimal(1).scaleb(int(price.as_tuple().exponent))
        for number in range(int(60 / every_s)):
            price += step * draw.randint(-9, 9)
            after_s = number * every_s
            found.append(
                (
                    after_s,
                    Ticker(pair, price, change_pct=Decimal(draw.randint(-300, 300)) / 100, receipt=receipt(after_s)),
                )
            )
    return iter(sorted(found, key=lambda each: each[0]))


def a_book(after_s: float = 60.0, *, levels: int = 12) -> Depth:
    draw = Random(SEED)

    def side(direction: int) -> list[Level]:
        price, rows = Decimal("74016.25"), []
        for _ in range(levels):
            price += direction * Decimal(draw.randint(1, 120)) / 100
            rows.append(Level(price, Decimal(draw.randint(1, 250_000)) / 100_000))
        return rows

    return Depth("btc_usdt", side(-1), side(1), levels=levels, node="t-1", receipt=receipt(after_s))


def the_board() -> Board:
    board = Board((*PAIRS, "nosuch_usdt", "sol_usdt"))
    for after_s, ticker in tickers():
        board.show(ticker, at(after_s))
    board.show(a_book(59.5), at(59.5))
    return board


def the_ladder() -> Ladder:
    ladder = Ladder("btc_usdt")
    ladder.show(a_book(), at(60))
    return ladder


def the_tape() -> Tape:
    tape, draw, price = Tape("btc_usdt"), Random(SEED), Decimal("74016.25")
    for number in range(40):
        price += Decimal(draw.randint(-50, 50)) / 100
        amount = Decimal(draw.randint(1, 9_000)) / 100_000
        made = BEGAN + timedelta(seconds=number)
        source = "backfill" if 36 <= number < 38 else "live"
        side = draw.choice(("buy", "sell"))
        tape.show(Trade("btc_usdt", price, amount, None, side, traded_at=made, source=source), at(number))
    return tape


def the_chart() -> Chart:
    chart, draw, price = Chart("btc_usdt", "1min"), Random(SEED), Decimal("74016.25")
    for number in range(70):
        prices = [price + Decimal(draw.randint(-4_000, 4_000)) / 100 for _ in range(4)]
        opened = BEGAN + timedelta(minutes=number)
        volume = Decimal(draw.randint(1, 900)) / 100
        chart.show(
            Kline("btc_usdt", "1min", opened, price, max(prices), min(prices), prices[-1], volume), at(number * 60)
        )
        price = prices[-1]
    return chart


HEALTH = {
    "btc_usdt": LIVE,
    "pepe_usdt": Health("stale", "frozen"),
    "eth_btc": LIVE,
    "nosuch_usdt": Health("refused", "refused"),
    "sol_usdt": Health("waiting", "nothing yet"),
}
SCREENS: dict[str, tuple[Callable[[], Screen], int]] = {
    "board": (the_board, 22),
    "ladder": (the_ladder, 16),
    "tape": (the_tape, 10),
    "chart": (the_chart, 16),
}
# The colours of candles are those of candlestick-chart.
PICTURES = [
    (name, width, in_colour)
    for name in SCREENS
    for width in (80, 120)
    for in_colour in (False, True)
    if not (name == "chart" and in_colour)
]


def drawn(name: str, width: int, *, in_colour: bool) -> str:
    make, height = SCREENS[name]
    lines = make().view(width, height, at(60), HEALTH)
    return "".join(f"{line.markup if in_colour else line.plain}\n" for line in lines)


def picture(name: str, width: int, *, in_colour: bool) -> Path:
    return FOLDER / f"{name}_{width}{'_colour' if in_colour else ''}.txt"


@pytest.mark.parametrize(("name", "width", "in_colour"), PICTURES)
def test_the_screen_looks_as_it_was_approved(name, width, in_colour):
    """People look before they read; what they see does not change by accident."""
    assert drawn(name, width, in_colour=in_colour) == picture(name, width, in_colour=in_colour).read_text("utf-8")


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 250])
@pytest.mark.parametrize("height", [1, 2, 3, 5, 24, 60])
@pytest.mark.parametrize("name", SCREENS)
def test_no_screen_is_larger_than_its_terminal(name, width, height):
    """A line too many scrolls the whole screen, eight times a second."""
    lines = SCREENS[name][0]().view(width, height, at(60), HEALTH)

    assert max(len(line.plain) for line in lines) <= width
    assert len(lines) <= height


def test_pairs_that_do_not_fit_are_counted():
    """A board that hides rows silently is read wrong."""
    board = Board(tuple(f"pair{number}_usdt" for number in range(50)))

    lines = [line.plain for line in board.view(80, 12, at(0), {})]

    assert len(lines) == 12
    assert lines[-1] == "and 40 more; a higher terminal shows them"


def test_on_a_narrow_terminal_the_price_stays():
    """What is looked for is the last to go."""
    lines = [line.plain for line in the_board().view(36, 22, at(60), HEALTH)]

    assert lines[0].split() == ["pair", "last"]
    assert "74" in lines[1]


def test_a_stale_pair_shows_it_without_colours_too():
    """Some people see no red, some terminals none at all."""
    lines = [line.plain for line in the_board().view(80, 22, at(60), HEALTH)]

    assert [line[0] for line in lines[1:]] == ["●", "◐", "●", "✗", "○"]


def test_the_age_of_a_thin_pair_grows_while_nothing_comes():
    """A quiet pair and a dead line look the same but for this."""
    board = the_board()

    ages = [board.view(120, 22, at(after_s), HEALTH)[3].plain.split()[-2] for after_s in (61, 75, 200)]

    assert ages == ["21s", "35s", "3m"]


def test_a_price_that_holds_is_a_flat_line_of_a_minute():
    """The sparkline is a minute, not sixty pushes: a thin pair's last hour would look like a rally."""
    board = Board(("btc_usdt",))
    board.show(Ticker("btc_usdt", Decimal(1), receipt=receipt(0)), at(0))
    board.show(Ticker("btc_usdt", Decimal(9), receipt=receipt(1)), at(1))

    lines = board.view(140, 22, at(31), {"btc_usdt": LIVE})

    assert "▁" + "█" * 31 + " " in lines[1].plain + " "


def test_a_faulty_book_is_not_shown_and_the_head_says_why():
    """The ladder shows what `client.book()` serves, and nothing else."""
    ladder = the_ladder()
    crossed = replace(a_book(61), bids=[Level(Decimal(80_000), Decimal(1))], fault=Flaw.CROSSED)

    ladder.show(crossed, at(61))
    lines = [line.plain for line in ladder.view(80, 22, at(61), {"btc_usdt": Health("live", "crossed")})]

    assert "80000" not in "".join(lines)
    assert lines[0].startswith("◐ btc_usdt")
    assert lines[0].endswith("not the present book: crossed")


def test_an_empty_side_is_drawn_as_it_is():
    """Nobody asks: there is no spread, and all weight is on the other side."""
    ladder = Ladder("btc_usdt")
    ladder.show(replace(a_book(), asks=[]), at(60))

    lines = [line.plain for line in ladder.view(80, 22, at(60), {})]

    assert "imbalance +1.00" in lines[-1]
    assert "spread" not in "".join(lines)


def test_bars_are_in_their_place_and_the_newest_version_counts():
    """Bars that were missed come later than those that follow them."""
    chart = Chart("btc_usdt", "1min")
    for minute, close in ((2, 5), (1, 4), (2, 6)):
        opened = BEGAN + timedelta(minutes=minute)
        one = Decimal(1)
        chart.show(Kline("btc_usdt", "1min", opened, one, Decimal(9), one, Decimal(close), one), at(180))

    head = chart.view(100, 20, at(180), {})[0].plain

    assert "12:02" in head
    assert head.endswith("close 6")


def test_one_flat_bar_can_be_drawn():
    """A pair that nobody trades has a bar without height."""
    chart = Chart("btc_usdt", "1min")
    one = Decimal(1)
    chart.show(Kline("btc_usdt", "1min", BEGAN, one, one, one, one, Decimal(0)), at(0))

    assert len(chart.view(80, 20, at(0), {})) > 1


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([], 5, ""),
        ([1], 5, "▁"),
        ([1, 1, 1], 5, "▁▁▁"),
        ([1, 8], 2, "▁█"),
        (list(range(60)), 3, "▁▄█"),
        ([1, 2], 0, ""),
    ],
)
def test_sparklines(values, width, line):
    """The last price is always the last block."""
    assert sparkline([Decimal(value) for value in values], width) == line


@pytest.mark.parametrize(("share", "line"), [(0, "    "), (1, "████"), (2, "████"), (0.5, "██  "), (0.28, "█▏  ")])
def test_bars_are_exact_to_an_eighth(share, line):
    """Amounts of a book differ by less than a character."""
    assert bar(share, 4) == line


@pytest.mark.parametrize(
    ("length_s", "text"),
    [(None, ""), (-1, "0.0s"), (0.04, "0.0s"), (9.94, "9.9s"), (45, "45s"), (600, "10m"), (9e4, "25h")],
)
def test_lengths_of_time_fit_their_column(length_s, text):
    """An age of hours must not push the columns around."""
    assert seconds(length_s) == text


def test_aligned_numbers_keep_every_digit():
    """Zeros are added for the eye, nothing is rounded."""
    assert aligned([Decimal("74013"), Decimal("74013.36"), Decimal("1E+3")]) == ["74013.00", "74013.36", "1000.00"]


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, width, in_colour in PICTURES:
        picture(name, width, in_colour=in_colour).write_text(drawn(name, width, in_colour=in_colour), "utf-8")
