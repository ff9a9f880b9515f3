"""What fills the holes of a subscription, and by which ways.

Decided here: which channels are filled, and which way is the better one for each. How it is done is decided in
`trade_fill.py` and `bar_fill.py`, for an account in `order_fill.py` and `balance_fill.py`. A ticker and a book need
none of this: their first push is the state.
"""

from __future__ import annotations

from collections.abc import Mapping

from lbank_ws.channels import Channel, Topic
from lbank_ws.feed.asking import By, Fill, FillHabits
from lbank_ws.feed.balance_fill import BalanceFill
from lbank_ws.feed.bar_fill import BarFill
from lbank_ws.feed.order_fill import OrderFill
from lbank_ws.feed.trade_fill import TradeFill


def fill_for(
    topic: Topic,
    *,
    has_requests: bool,
    has_rest: bool,
    has_account: bool = False,
    pairs: Mapping[str, bool] | None = None,
    habits: FillHabits | None = None,
) -> Fill | None:
    """Give what fills the holes of a topic; None for a ticker and a book, whose first push is the state.

    Args:
        topic: Which one.
        has_requests: Whether the dialect can ask once.
        has_rest: Whether the REST interface is known.
        has_account: Whether an account's state can be fetched.
        pairs: Where orders may be, and whether somebody said so.
        habits: How it is done.
    """
    if topic.channel.is_private:
        if not has_account:
            return None
        if topic.channel is Channel.BALANCE:
            return BalanceFill(topic)
        return OrderFill(topic, {} if pairs is None else pairs)  # an empty one, too: it will be added to
    can: dict[By, bool] = {"request": has_requests, "rest": has_rest}
    if topic.channel is Channel.TRADE:
        # A request was seen to be answered without trades, so it is not worth waiting for where it is the only way.
        can["request"] = has_requests and has_rest
        return TradeFill(topic, [way for way in ("rest", "request") if can[way]], habits)
    if topic.channel is Channel.KLINE:
        # Bars of a year are known to requests only.
        can["rest"] = has_rest and topic.interval != "year"
        return BarFill(topic, [way for way in ("request", "rest") if can[way]], habits)
    return None
