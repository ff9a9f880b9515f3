"""The log-in of the simple dialect, its orders, and what they are answered.

The guide spells out the two frames and nothing of their answers. Assumptions, marked as such: an `id` beside `op` is
given back; the answer has the same `op`, and says yes when `success` is true, or `status` is `ok`, or `code` or
`err-code` is 0; an order's id stands under `data.order_id` or `order_id`; `custom_id` and the types beyond `buy` and
`sell` are those of REST. Source: docs/reference/wire.md, "The simple dialect".
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from lbank_ws.quoting import quoted
from lbank_ws.wire import values
from lbank_ws.wire.messages import Ignored, LogInReply, OrderReply, OrderRequest

_CODES = ("code", "err-code")
_REASONS = ("msg", "err-msg", "message")


def log_in(key: str, timestamp: str, signature: str) -> str:
    """Give the frame that logs a line in."""
    return values.json_text({"op": "auth", "args": [key, timestamp, signature]})


def order(number: str, asked: OrderRequest) -> str:
    """Give the frame that places an order; a market buy gives what it may spend as its price, as over REST."""
    is_spending = asked.order_type == "market" and asked.side == "buy"
    fields = {
        "symbol": asked.pair.replace("_", ""),
        "type": asked.side if asked.order_type == "limit" else f"{asked.side}_{asked.order_type}",
        "price": _plain(asked.value if is_spending else asked.price),
        "amount": _plain(asked.amount),
        "custom_id": asked.client_id,
    }
    said = {name: text for name, text in fields.items() if text is not None}
    return values.json_text({"op": "order", "args": [said], "id": number})


def reply(fields: Mapping[str, object]) -> LogInReply | OrderReply | Ignored:
    """Read an answer to one of the two."""
    op = fields["op"]
    if op not in ("auth", "order"):
        return Ignored(f"an answer to op {values.word(op)}")
    is_accepted = _says_yes(fields)
    code: int | None = None
    reason = ""
    if not is_accepted:
        codes = [_whole(fields.get(name)) for name in _CODES]
        code = next((each for each in codes if each is not None), None)
        words = [text for name in _REASONS if isinstance(text := fields.get(name), str)]
        reason = quoted(words[0]) if words else "no reason was given"
    if op == "auth":
        return LogInReply(is_accepted, code, reason)
    number, content = fields.get("id"), fields.get("data")
    named = content.get("order_id") if isinstance(content, dict) else None
    order_id = named or fields.get("order_id")
    return OrderReply(
        number=str(number) if isinstance(number, str | int) else None,
        is_accepted=is_accepted,
        order_id=str(order_id) if is_accepted and isinstance(order_id, str | int) else None,
        code=code,
        reason=reason,
    )


def _says_yes(fields: Mapping[str, object]) -> bool:
    if "success" in fields:
        return fields["success"] in (True, "true")
    if "status" in fields:
        return fields["status"] == "ok"
    return any(_whole(fields.get(name)) == 0 for name in _CODES)


def _whole(content: object) -> int | None:
    """Give a code, which may be spelt as text; None where it is none."""
    if isinstance(content, bool) or not isinstance(content, str | int):
        return None
    try:
        return int(content)
    except ValueError:
        return None


def _plain(number: Decimal | None) -> str | None:
    """Print a number in plain notation: 8.47E-8 would be refused, or read as another number."""
    return None if number is None else f"{number:f}"
