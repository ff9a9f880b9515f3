"""What the exchange's REST interface refuses with: LBank's codes and words.

The words of 10008, 10010, 10014 and 10203 are reported from the live exchange (that those of 10014 belong to it is an
assumption); those of 10018, 10020, 10201, 10202 and 10600 are the box's own; the others are those of LBank's
documentation and connectors, misspellings included. Which of them the exchange still sends is not known.
"""

from __future__ import annotations

WORDS = {
    10001: "The required parameters can not be empty",
    10002: "Validation Failed",
    10003: "Invalid parameter",
    10004: "Request too frequent",
    10005: "Secret key does not exist",
    10007: "Invalid signature",
    10008: "currency pair nonsupport",
    10009: "Price and/or Amount are required for limit order",
    10010: "The order price or order quantity must be greater than the minimum value",
    10011: "Buy at market price, price must be passed",
    10012: "Sell at market price, amount must be passed",
    10013: "Order quantity lower than minimum transaction quantity",
    10014: "Currency is not enough",
    10015: "Invalid order type",
    10016: "Insufficient account balance",
    10018: "Page size should be between 1 and 200",
    10020: "Order amount is lower than the minimum of market orders",
    10022: "API Key permission denied, Invalid IP or permissions",
    10025: "Order has been filled",
    10026: "Order has been cancelld",
    10027: "Order is cancelling",
    10028: "Wrong query time",
    10029: "'from' is not in the query time",
    10031: "echostr length must be valid and length must be from 30 to 40",
    10032: "The order number does not exist",
    10036: "customID duplicated",
    10037: "Order has been cancelled or completed",
    10201: "api_key or sign is null",
    10202: "timestamp, signature_method or echostr is null",
    10203: "Wrong signature method",
    10600: "The timestamp is too far from the time of the server",
}


class Refusal(Exception):
    """The exchange says no.

    Attributes:
        code: One of `WORDS`.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    @property
    def words(self) -> str:
        """What it says."""
        return WORDS[self.code]
