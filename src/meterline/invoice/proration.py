"""The line of a proration: a share of a price, or of what was really debited for it, net of discounts.

A proration is not discounted on its invoice: its amount is net already (`included`), or it carries what is taken off it
(`itemized`). Either way it comes to the same, because the net amount is rounded first and the discounts are what is
between it and the rounded gross amount.
"""

from collections.abc import Sequence
from datetime import timedelta
from fractions import Fraction
from typing import TypeAlias

from meterline.discount import Discount, exact_shares
from meterline.invoice import describe
from meterline.invoice.gathered import Gathered
from meterline.invoice.line import InvoiceLine, LineDiscount
from meterline.money import allocate, round_proration
from meterline.rating import exact_total, rate, share
from meterline.subscription.billable import Proration

_TICK = timedelta(microseconds=1)
_Inside: TypeAlias = tuple[LineDiscount, ...]
"""What is taken off a proration by each discount; negative on a credit."""


def proration_line(gathered: Gathered) -> InvoiceLine:
    """The line of a billable that is a proration."""
    billable = gathered.billable
    proration = _of(gathered)
    assert billable.quantity is not None
    if proration.credited is not None and gathered.debited is not None:
        net, inside = _given_back(gathered, gathered.debited, proration.credited.duration // _TICK)
    else:
        net, inside = _bought(gathered)
    itemized = gathered.itemized
    return InvoiceLine(
        id="",
        amount=net + sum(each.amount for each in inside) if itemized else net,
        currency=billable.price.currency,
        description=describe.proration(
            direction=proration.direction,
            quantity=billable.quantity,
            name=gathered.product.name,
            since=billable.period.start,
        ),
        period=billable.period,
        quantity=billable.quantity,
        discountable=False,
        discounts=inside if itemized else tuple(_nothing(each) for each in inside),
        price=billable.price.id,
        product=billable.price.product,
        subscription=billable.subscription,
        subscription_item=billable.item,
        proration=True,
        credited=gathered.credited,
        tax_rates=billable.tax_rates if gathered.debited is None else gathered.debited_rates,
    )


def _given_back(gathered: Gathered, debited: Sequence[InvoiceLine], debited_ticks: int) -> tuple[int, _Inside]:
    """A share of what was debited, net of the discounts that those lines had."""
    part = Fraction(gathered.billable.period.duration // _TICK, debited_ticks)
    net = share(sum(line.discounted_amount for line in debited), fraction=part, direction="credit")
    gross = share(sum(line.amount for line in debited), fraction=part, direction="credit")
    taken: dict[str, int] = {}
    for each in (each for line in debited for each in line.discounts):
        taken[each.discount] = taken.get(each.discount, 0) + each.amount
    return net, _between(gross - net, list(taken), list(taken.values()))


def _bought(gathered: Gathered) -> tuple[int, _Inside]:
    """A share of the price, net of the discounts in force."""
    billable, proration = gathered.billable, _of(gathered)
    assert billable.quantity is not None
    price = Fraction(exact_total(rate(price=billable.price, quantity=billable.quantity)))
    discounts, parts = _parts(gathered, price)
    sign = 1 if proration.direction == "debit" else -1
    gross = round_proration(sign * price * proration.fraction)
    net = round_proration(sign * (price - sum(parts, Fraction(0))) * proration.fraction)
    return net, _between(gross - net, [each.id for each in discounts], parts)


def _parts(gathered: Gathered, price: Fraction) -> tuple[tuple[Discount, ...], list[Fraction]]:
    """The discounts of the item and of its subscription, and what each takes off a whole interval of its price.

    The subscription's discounts are shared with its other licensed items, each after its own.
    """
    currency = gathered.billable.price.currency
    product = gathered.billable.price.product
    own = exact_shares([each.terms for each in gathered.own], [price], [product], currency=currency)
    mine = [shares[0] for shares in own]
    left = [price - sum(mine, Fraction(0))]
    for other in gathered.beside:
        theirs = exact_shares(
            [each.terms for each in other.discounts], [other.amount], [other.product], currency=currency
        )
        left.append(other.amount - sum((shares[0] for shares in theirs), Fraction(0)))
    products = [product, *(other.product for other in gathered.beside)]
    whole = exact_shares([each.terms for each in gathered.whole], left, products, currency=currency)
    return (*gathered.own, *gathered.whole), [*mine, *(shares[0] for shares in whole)]


def _between(amount: int, ids: Sequence[str], weights: Sequence[int | Fraction]) -> _Inside:
    """What lies between gross and net, split over the discounts that make it up."""
    shares = allocate(amount, weights) if any(weights) else (0,) * len(ids)
    return tuple(LineDiscount(discount=id, amount=part, level="line") for id, part in zip(ids, shares, strict=True))


def _nothing(discount: LineDiscount) -> LineDiscount:
    return LineDiscount(discount=discount.discount, amount=0, level=discount.level)


def _of(gathered: Gathered) -> Proration:
    proration = gathered.billable.proration
    assert proration is not None
    return proration
