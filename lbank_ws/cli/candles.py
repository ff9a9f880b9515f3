"""`lbank-ws candles PAIR`: bars as candles that follow the market."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from lbank_ws.channels import DEFAULT_INTERVAL, INTERVALS, checked_pair
from lbank_ws.cli.arguments import add_end, add_form, add_source
from lbank_ws.cli.follow import Following, follow
from lbank_ws.cli.output import Row
from lbank_ws.errors import DecodeError, RestFailed

if TYPE_CHECKING:
    from lbank_ws.cli.stage import Screen
    from lbank_ws.client import LBankClient
    from lbank_ws.events import Kline

log = logging.getLogger("lbank_ws")

_PAST_BARS = 200  # more than a wide terminal shows
_SECONDS = {"min": 60, "hr": 3600, "day": 86_400, "week": 604_800, "month": 2_678_400}
_REST_WITHIN_S = 3.0
_EPILOG = """examples:
  lbank-ws candles btc_usdt --sandbox --for 10s    from the practice exchange, without a network
  lbank-ws candles btc_usdt --interval 5min --sandbox --count 3
  lbank-ws candles btc_usdt --interval 1hr         until Ctrl-C

The past comes over REST, where that is within reach. The bar in progress comes again and again.
"""


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "candles",
        help="the bars of a pair as candles",
        description="Show bars as they grow: candles on a terminal, else a line each.",
        epilog=_EPILOG,
    )
    command.add_argument("pair", metavar="PAIR", help="for example btc_usdt")
    command.add_argument(
        "--interval", default=DEFAULT_INTERVAL, choices=INTERVALS, help=f"of a bar (default: {DEFAULT_INTERVAL})"
    )
    add_form(command)
    add_source(command)
    add_end(command)
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""

    def subscribe(client: LBankClient, show: Callable[[Any], None]) -> None:
        client.on_kline(args.pair, interval=args.interval)(show)

    def chart(addresses: Mapping[str, Any]) -> Screen:
        from lbank_ws.cli.chart import Chart

        made = Chart(args.pair, args.interval)
        for bar in past(checked_pair(args.pair), args.interval, addresses):
            made.show(bar, 0.0)
        return made

    needs = ("rich", "candlestick_chart")
    return follow(args, Following("bar", "kline", row, as_line, subscribe, chart, needs))


def past(pair: str, interval: str, addresses: Mapping[str, Any]) -> list[Kline]:
    """Fetch the bars before now; none, and a line in the log, where they cannot be had."""
    from lbank_ws import settings
    from lbank_ws.trading.rest import BAR_TYPES, DEFAULT_URLS, Rest

    named = settings.rest_url(addresses.get("rest_url"))
    if interval not in BAR_TYPES or (named is None and addresses.get("url")):
        return []
    rest = Rest(named or DEFAULT_URLS[0], timeout_s=_REST_WITHIN_S)
    digits = "".join(filter(str.isdigit, interval))
    length_s = int(digits or 1) * _SECONDS[interval.removeprefix(digits)]
    start_at = datetime.now(timezone.utc) - timedelta(seconds=length_s * _PAST_BARS)
    try:
        return rest.klines(pair, interval, start_at=start_at)
    except (RestFailed, DecodeError) as error:
        log.warning("the chart begins with the bar in progress: %s", error)
        return []
    finally:
        rest.close()


def as_line(bar: Kline) -> str:
    """Give a bar as a line for people."""
    prices = "  ".join(f"{getattr(bar, name):f}" for name in ("open", "high", "low", "close"))
    closed = "  closed" if bar.closed else ""
    return f"{bar.opened_at:%Y-%m-%d %H:%M}  {bar.pair:<12} {prices}  volume {bar.volume:f}{closed}"


def row(bar: Kline) -> Row:
    """Give a bar as the columns of JSON and CSV."""
    names = ("pair", "interval", "opened_at", "open", "high", "low", "close", "volume", "turnover", "trades", "closed")
    return {**{name: getattr(bar, name) for name in names}, "source": bar.source, "received_at": bar.received_at}
