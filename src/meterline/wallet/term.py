"""The spans of a wallet's subscription, and its fixed fees: when they come again, and what can pay for them.

Instants are the customer's, UTC; amounts are in major units of their asset. Spans are counted from an anchor, which is
the start, or the first renewal that was asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from meterline.money import CURRENCIES, add, subtract
from meterline.period import Cycle, Interval
from meterline.wallet.pocket import Debit, InsufficientFunds, Pocket, spend


def following(anchor: datetime, every: Interval, after: datetime) -> datetime:
    """The first boundary after an instant; nothing comes before the anchor."""
    return anchor if after < anchor else Cycle(anchor=anchor, interval=every).next_boundary(after)


def begins(anchor: datetime, every: Interval, at: datetime) -> bool:
    """Whether a span begins at that very instant."""
    return at >= anchor and Cycle(anchor=anchor, interval=every).containing(at).start == at


def span_of(anchor: datetime, every: Interval, at: datetime, *, start: datetime) -> datetime:
    """Where the span that the instant lies in began; the one before the anchor began at `start`."""
    return start if at < anchor else Cycle(anchor=anchor, interval=every).containing(at).start


def span_end(anchor: datetime, every: Interval, at: datetime, *, spans: int = 1) -> datetime:
    """Where so many spans end, of which the first begins at that instant."""
    end = following(anchor, every, at)
    return end if spans == 1 else span_end(anchor, every, end, spans=spans - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One asset that can pay a fee, by a price of a product."""

    price: str
    product: str
    asset: str
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedFee:
    """A fee (the price as sold) for the span that begins at `at`, and the ways to pay it, in order."""

    sold: str
    at: datetime
    ways: tuple[Way, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A fee that is paid one way; `pocket` is what the debit leaves (both null for a fee of nothing)."""

    fee: FixedFee
    way: Way
    pocket: Pocket | None = None
    debit: Debit | None = None


@dataclass(frozen=True, slots=True)
class Shortage:
    """So much of an asset is missing to pay all fees."""

    asset: str
    amount: Decimal


def pay_all(
    fees: Sequence[FixedFee], pocket_of: Callable[[str], Pocket], *, at: datetime
) -> tuple[Payment, ...] | Shortage:
    """Pay every fee or none. The first asset that can pay a whole fee pays it.

    Where one cannot be paid, what is missing is of the first currency among its assets, or else of the first asset.
    """
    pockets: dict[str, Pocket] = {}
    payments: list[Payment] = []
    missing: dict[str, Decimal] = {}
    for fee in fees:
        payment = _pay(fee, lambda asset: pockets.get(asset) or pocket_of(asset), at)
        if payment is None:
            way = next((each for each in fee.ways if each.asset.lower() in CURRENCIES), fee.ways[0])
            missing[way.asset] = add(missing.get(way.asset, Decimal(0)), way.amount)
            continue
        if payment.pocket is not None:
            pockets[payment.way.asset] = payment.pocket
        payments.append(payment)
    if not missing:
        return tuple(payments)
    asset, needed = next(iter(missing.items()))
    return Shortage(asset, subtract(needed, (pockets.get(asset) or pocket_of(asset)).spendable(at)))


def _pay(fee: FixedFee, pocket_of: Callable[[str], Pocket], at: datetime) -> Payment | None:
    for way in fee.ways:
        if not way.amount:
            return Payment(fee=fee, way=way)
        try:
            pocket, debit = spend(pocket_of(way.asset), way.amount, at=at, marks=(way.price, way.product))
        except InsufficientFunds:
            continue
        return Payment(fee=fee, way=way, pocket=pocket, debit=debit)
    return None
