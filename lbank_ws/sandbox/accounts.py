"""The accounts of the practice exchange: what each one owns, what its open orders hold back, what it has paid.

Decided here: reserving, settling and releasing. The only thing that moves money is `Accounts.noticed`, which is told
of every change of a user's order; what an order holds back is a function of the order, so that the books are right
whatever the order of happenings. Whether somebody may place an order is decided in `desk.py`.

Balances are whole units of 10^-20 of their asset, so that nothing is ever rounded but the commission, which is rounded
up to such a unit. Known from LBank: commission is taken from what is received: base units for a buy, quote units for a
sell. One rate for makers and takers is an assumption of the box.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from lbank_ws.sandbox import signing
from lbank_ws.sandbox.frames import plain
from lbank_ws.sandbox.listings import Listing
from lbank_ws.sandbox.orders import AssetChanged, Fill, Kind, Order, OrderChanged

UNIT_PLACES = 20  # LBank prints this many places here and there
PERMISSIONS = frozenset({"read", "trade", "withdraw"})


@dataclass
class Purse:
    """What an account has of one asset, in units.

    Attributes:
        free: What it may use.
        locked: What its open orders hold back.
        fees: The commission it has paid so far.
    """

    free: int = 0
    locked: int = 0
    fees: int = 0


@dataclass(frozen=True)
class OwnFill:
    """A fill as the account sees it that took part.

    Attributes:
        order: Its order, as it stood after the fill.
        fill: What was traded.
        is_maker: Whether its order rested.
        commission: What it paid, in units of the asset that it received.
    """

    order: Order
    fill: Fill
    is_maker: bool
    commission: int


@dataclass(frozen=True)
class AccountView:
    """What a test sees of an account; nothing in it changes any more.

    Attributes:
        key: The account's key.
        free: By asset, what it may use.
        locked: By asset, what its open orders hold back.
        fees: By asset, the commission that it has paid.
        orders: All its orders, in the order of placing.
    """

    key: str
    free: Mapping[str, Decimal]
    locked: Mapping[str, Decimal]
    fees: Mapping[str, Decimal]
    orders: tuple[Order, ...]

    @property
    def open_orders(self) -> tuple[Order, ...]:
        """The orders to which something can still happen."""
        return tuple(order for order in self.orders if not order.is_done)


@dataclass
class Account:
    """One account. Its secret is in no repr.

    Attributes:
        key: Its API key.
        secret: What its requests are signed with.
        method: `HmacSHA256` or `RSA`.
        fee: The commission, as a fraction of what is received.
        can_trade: False when every pair answers 10008, as LBank does for ordinary accounts; or the pairs that do not.
        permissions: What the key is for.
        created_ms: When it was made, in UTC epoch ms.
        purses: By asset.
        orders: By id, each as it last was, in the order of placing.
        custom_ids: The ids of orders, by the owner's own ids.
        fills: In time order.
        reference: By order id, the price at which the market stood when a market order was placed, in price steps.
    """

    key: str
    secret: str = field(repr=False)
    method: str = signing.HMAC
    fee: Fraction = Fraction(1, 1000)
    can_trade: bool | Collection[str] = True
    permissions: frozenset[str] = PERMISSIONS
    created_ms: int = 0
    purses: dict[str, Purse] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    custom_ids: dict[str, str] = field(default_factory=dict)
    fills: list[OwnFill] = field(default_factory=list)
    reference: dict[str, int] = field(default_factory=dict)

    def purse(self, asset: str) -> Purse:
        """Give the purse of an asset, an empty one where there was none."""
        return self.purses.setdefault(asset, Purse())

    def may_trade(self, pair: str) -> bool:
        """Tell whether a pair is tradable for it."""
        return self.can_trade if isinstance(self.can_trade, bool) else pair in self.can_trade

    def can_afford(self, order: Order) -> bool:
        """Tell whether what the order would hold back is free."""
        asset, units = held(order)
        return self.purse(asset).free >= units

    def view(self) -> AccountView:
        """Give what a test may see."""
        purses = self.purses.items()
        return AccountView(
            self.key,
            {asset: in_coins(purse.free) for asset, purse in purses},
            {asset: in_coins(purse.locked) for asset, purse in purses},
            {asset: in_coins(purse.fees) for asset, purse in purses},
            tuple(self.orders.values()),
        )


def new_account(
    key: str,
    secret: str,
    *,
    method: str,
    balances: Mapping[str, str | int | Decimal],
    fee: str | Decimal,
    can_trade: bool | Collection[str],
    permissions: Collection[str],
    created_ms: int,
) -> Account:
    """Make an account from what a test says; see `Sandbox.add_account`.

    Raises:
        ImportError: The method is RSA and the package cryptography is not installed.
        ValueError: Something in it cannot be.
    """
    if not key or not secret:
        raise ValueError("an account has a key and a secret")
    if method not in signing.METHODS:
        raise ValueError(f"a signature method is one of {', '.join(signing.METHODS)}, not {method!r}")
    if method == signing.RSA:
        signing.public_key(secret)
    if not PERMISSIONS.issuperset(permissions):
        raise ValueError(f"permissions are some of {', '.join(sorted(PERMISSIONS))}")
    rate = Fraction(fee)
    if not 0 <= rate < 1:
        raise ValueError("a fee is a fraction, 0 or more and below 1")
    account = Account(key, secret, method, rate, can_trade, frozenset(permissions), created_ms)
    for asset, coins in balances.items():
        account.purse(asset.lower()).free = in_units(coins)
    return account


class Accounts:
    """All accounts, by key."""

    def __init__(self) -> None:
        self._all: dict[str, Account] = {}

    def add(self, account: Account) -> None:
        """Open an account.

        Raises:
            ValueError: There is one with that key.
        """
        if account.key in self._all:
            raise ValueError("there is an account with this key already")
        self._all[account.key] = account

    def get(self, key: str) -> Account | None:
        """Give the account of a key, or None."""
        return self._all.get(key)

    def noticed(self, change: OrderChanged) -> list[AssetChanged]:
        """Move the money that a change of an order moves, and give the balances that changed."""
        account = self._all.get(change.order.owner or "")
        if account is None:
            return []
        order, fill = change.order, change.fill
        asset, holds = held(order)
        before = account.orders.get(order.id)
        held_before = held(before)[1] if before is not None else 0
        account.orders[order.id] = order
        purse = account.purse(asset)
        touched = [asset]
        spent = 0
        if fill is not None:
            spent = _spent(order, fill)
            touched.append(_settle(account, change, fill))
        purse.locked += holds - held_before
        purse.free -= holds - held_before + spent
        cause: Literal["ORDER_CREATE", "ORDER_DEAL", "ORDER_CANCEL"]
        cause = "ORDER_CREATE" if before is None else "ORDER_DEAL" if fill is not None else "ORDER_CANCEL"
        return [
            AssetChanged(
                change.listing,
                change.at_ms,
                account.key,
                each,
                account.purse(each).free,
                account.purse(each).locked,
                cause,
            )
            for each in touched
        ]


def _settle(account: Account, change: OrderChanged, fill: Fill) -> str:
    """Pay out what a fill brings, less the commission; give the asset."""
    order = change.order
    received, asset = (
        (amount_units(order.listing, fill.amount), base_of(order.listing))
        if order.side == "buy"
        else (value_units(order.listing, fill.value), order.listing.quote)
    )
    commission = -(-received * account.fee.numerator // account.fee.denominator)
    purse = account.purse(asset)
    purse.free += received - commission
    purse.fees += commission
    account.fills.append(OwnFill(order, fill, change.is_maker, commission))
    return asset


def _spent(order: Order, fill: Fill) -> int:
    if order.side == "buy":
        return value_units(order.listing, fill.value)
    return amount_units(order.listing, fill.amount)


def held(order: Order) -> tuple[str, int]:
    """Give the asset that an order holds back, and how many units of it."""
    listing = order.listing
    if order.side == "sell":
        return base_of(listing), 0 if order.is_done else amount_units(listing, order.amount - order.filled)
    if order.is_done:
        return listing.quote, 0
    left = (
        order.value - order.filled_value if order.kind is Kind.MARKET else order.price * (order.amount - order.filled)
    )
    return listing.quote, value_units(listing, left)


def base_of(listing: Listing) -> str:
    """Give the currency that amounts are given in."""
    return listing.pair.partition("_")[0]


def amount_units(listing: Listing, steps: int) -> int:
    """Turn an amount into units."""
    return int(steps * 10 ** (UNIT_PLACES - listing.amount_places))


def value_units(listing: Listing, steps: int) -> int:
    """Turn a price x amount into units."""
    return int(steps * 10 ** (UNIT_PLACES - listing.value_places))


def printed(units: int) -> str:
    """Print units as LBank prints a balance: plainly, without closing zeros."""
    return plain(units, UNIT_PLACES)


def in_coins(units: int) -> Decimal:
    """Give units as a number, exactly."""
    return Decimal(printed(units))


def in_units(coins: str | int | Decimal) -> int:
    """Turn a number of coins into units.

    Raises:
        ValueError: It is no number, is below zero, or has more than 20 decimal places.
    """
    try:
        units = Fraction(coins) * 10**UNIT_PLACES
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"a balance is a number, not {coins!r}") from None
    if units < 0 or units.denominator != 1:
        raise ValueError(f"a balance is zero or more, with at most {UNIT_PLACES} decimal places, not {coins}")
    return int(units)
