"""What a notebook shows of a ticker, a book and a bar: small tables of HTML.

Decided here: what is shown. Everything is escaped. No background and no text colour is set, so that light and dark
notebooks both stay legible; green and red alone are of a middle brightness.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from html import escape
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lbank_ws.events import Depth, Kline, Level, Ticker

LEVELS = 10  # of a book, a side
_UP, _DOWN = "#2e9e5b", "#d9534f"


def ticker_html(ticker: Ticker) -> str:
    """Give a ticker as a table of one row."""
    change = ticker.change_pct
    style = "" if not change else _UP if change > 0 else _DOWN
    return _table(
        ticker.pair,
        ("last", "24 h %", "high", "low", "volume", "sent (UTC)"),
        [
            (
                _text(ticker.last),
                _coloured(_text(change), style),
                *map(_text, (ticker.high, ticker.low, ticker.volume)),
                _text(ticker.exchange_at),
            )
        ],
    )


def kline_html(bar: Kline) -> str:
    """Give a bar as a table of one row."""
    style = _UP if bar.close >= bar.open else _DOWN
    return _table(
        f"{bar.pair} {bar.interval}",
        ("opened (UTC)", "open", "high", "low", "close", "volume", "closed"),
        [
            (
                *map(_text, (bar.opened_at, bar.open, bar.high, bar.low)),
                _coloured(_text(bar.close), style),
                _text(bar.volume),
                "yes" if bar.closed else "no",
            )
        ],
    )


def depth_html(book: Depth) -> str:
    """Give the best ten levels of both sides, best first; a book that is not served says why."""
    title = book.pair if book.fault is None else f"{book.pair}: not served, {book.fault}"
    sides: tuple[Sequence[Level], Sequence[Level]] = (book.bids[:LEVELS], book.asks[:LEVELS])
    rows = [
        (
            *(("", "") if bid is None else (_text(bid.amount), _coloured(_text(bid.price), _UP))),
            *(("", "") if ask is None else (_coloured(_text(ask.price), _DOWN), _text(ask.amount))),
        )
        for bid, ask in zip_longest(*sides)
    ]
    return _table(title, ("amount", "bid", "ask", "amount"), rows)


def _table(title: str, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Give a table; the cells are HTML already."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return escape(f"{value:%Y-%m-%d %H:%M:%S}")
    return escape(f"{value:f}" if isinstance(value, Decimal) else "" if value is None else str(value))


def _coloured(cell: str, colour: str) -> str:
    return f'<span style="color:{colour}">{cell}</span>' if colour and cell else cell
