"""What to tell somebody whose pair was refused.

Decided here: which pair was probably meant. The exchange says "Invalid order pairs" and no more, of a misspelt pair and
of one that it has delisted. Source: docs/reference/wire.md, "V2 errors" and "What goes wrong in practice".
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from difflib import SequenceMatcher

from lbank_ws.channels import QUOTES, is_pair, respelt
from lbank_ws.errors import ADVICE

# How much alike two currencies are at least when one is taken for a misspelling of the other: a letter too many or too
# few, or one wrong in four. One wrong in three would find something for almost every delisted pair.
ALIKE = 0.75

# Nobody can tell which way round a pair of money and a stable coin is traded.
_MONEY = ("usd", "eur", "try")
_COINS = tuple(quote for quote in QUOTES if quote not in _MONEY)


class Listing:
    """What the exchange lists. Any thread may set it, with one assignment, and any may ask.

    Attributes:
        pairs: All pairs that are listed; None while that is not known. That nothing is listed is not believed.
    """

    def __init__(self) -> None:
        self.pairs: frozenset[str] | None = None

    def advice(self, pair: str) -> str:
        """Give the end of a sentence: what to do about a pair that the exchange refused."""
        pairs = self.pairs
        if pairs and pair in pairs:
            return "LBank lists it, so try again later"
        spelt = pair if is_pair(pair) else respelt(pair)
        if not pairs:
            guess = None if spelt is None else _turned(spelt)
            return f"did you mean {guess}?" if guess not in (None, pair) else ADVICE
        meant = None if spelt is None else _meant(spelt, pairs)
        return f"LBank does not list it; did you mean {meant}?" if meant else "LBank does not list it, or not any more"


def _turned(pair: str) -> str:
    """Swap the two halves of a pair where it is plain that the first is what the second is priced in."""
    base, _, quote = pair.partition("_")
    if base not in _COINS or quote in (*_MONEY, *_COINS[: _COINS.index(base)]):
        return pair
    return f"{quote}_{base}"


def _meant(pair: str, pairs: AbstractSet[str]) -> str | None:
    """Find the listed pair that was probably meant by one that is well-formed."""
    base, _, quote = pair.partition("_")
    for known in (pair, f"{quote}_{base}"):
        if known in pairs:
            return known
    quotes: dict[str, list[str]] = {}
    for known in pairs:
        known_base, _, known_quote = known.partition("_")
        quotes.setdefault(known_base, []).append(known_quote)
    if base not in quotes:
        base, _, quote = _turned(pair).partition("_")
    meant = base if base in quotes else _nearest(base, quote, quotes)
    return None if meant is None else f"{meant}_{_best(quote, quotes[meant])}"


def _nearest(base: str, quote: str, quotes: dict[str, list[str]]) -> str | None:
    """Find the currency that is most like another one; of several the one that is traded in more ways."""
    matcher = SequenceMatcher()
    matcher.set_seq2(base)
    found = []
    for known in sorted(quotes):
        matcher.set_seq1(known)
        if matcher.real_quick_ratio() < ALIKE or matcher.quick_ratio() < ALIKE:
            continue
        # Letters in another order are the commonest slip, and `ratio` thinks little of short words with one.
        ratio = 1.0 if matcher.quick_ratio() == 1.0 else matcher.ratio()
        if ratio >= ALIKE:
            found.append((ratio, quote in quotes[known], len(quotes[known]), known))
    return max(found, key=lambda each: each[:3])[3] if found else None


def _best(quote: str, quotes: list[str]) -> str:
    """Choose what a currency is to be priced in: as was asked, or what is most usual."""
    if quote in quotes:
        return quote
    return min(quotes, key=lambda known: (QUOTES.index(known) if known in QUOTES else len(QUOTES), known))
