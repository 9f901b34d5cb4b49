"""A hosted checkout: what a customer is shown, what they pay or agree to, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from meterline.catalog import TaxRate
from meterline.customer.model import TaxExemption
from meterline.discount import Coupon, taken
from meterline.invoice.line import LineTax
from meterline.invoice.tax import Rounding, due_on_top, taxes_together
from meterline.money import minimum_payment
from meterline.refusal import Refusal

CheckoutMode = Literal["payment", "setup", "subscription"]
CheckoutStatus = Literal["open", "complete", "expired"]
PaymentState = Literal["paid", "unpaid", "no_payment_required"]

LIFETIME = timedelta(hours=24)
SHORTEST = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutLine:
    """One thing sold. `quantity` is null for usage; `amount` (minor units) is what it costs today, `discount` what goes
    off that.

    `tax_rates` are the line's own; `taxes` are those of them, or of the session's default ones, on what is left.
    """

    id: str
    price: str
    product: str
    description: str
    quantity: int | None
    amount: int
    recurring: bool
    discount: int = 0
    tax_rates: tuple[TaxRate, ...] = ()
    taxes: tuple[LineTax, ...] = ()

    @property
    def tax(self) -> int:
        """The tax on it, inside the amount and on top of it."""
        return sum(tax.amount for tax in self.taxes)

    @property
    def total(self) -> int:
        """What it costs today after its discount, with its tax."""
        return self.amount - self.discount + due_on_top(self.taxes)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditOrder:
    """The billing credits that a session sells: `amount` in minor units, once it is paid. `days` is how long they last
    from then on; `prices` limits them to those."""

    amount: int
    name: str | None = None
    priority: int | None = None
    days: int | None = None
    prices: tuple[str, ...] | None = None


_ORDER = "credit_grant"
"""The metadata of a session that sells credits: `credit_grant=paid`, or the amount; and `credit_grant_…`."""
_LONGEST_LIFE = 3650


def ordered(metadata: Mapping[str, str], *, paid: int) -> CreditOrder | None:
    """The credits that a session's metadata orders, for `paid` minor units; None where it orders none."""
    said = metadata.get(_ORDER)
    if said is None:
        return None
    if said == "paid" and paid == 0:
        raise Refusal("Billing credits that are sold for what is paid cannot be free.", param=f"metadata[{_ORDER}]")
    prices = [each.strip() for each in metadata.get(f"{_ORDER}_prices", "").split(",") if each.strip()]
    return CreditOrder(
        amount=paid if said == "paid" else _number(metadata, _ORDER, least=1, most=99_999_999),
        name=metadata.get(f"{_ORDER}_name"),
        priority=_optional(metadata, f"{_ORDER}_priority", least=0, most=100),
        days=_optional(metadata, f"{_ORDER}_days", least=1, most=_LONGEST_LIFE),
        prices=tuple(prices) or None,
    )


def _optional(metadata: Mapping[str, str], key: str, *, least: int, most: int) -> int | None:
    return _number(metadata, key, least=least, most=most) if key in metadata else None


def _number(metadata: Mapping[str, str], key: str, *, least: int, most: int) -> int:
    text = metadata[key]
    if not (text.isascii() and text.isdigit()) or not least <= int(text[:12]) <= most:
        raise Refusal(f"`{key}` is a whole number from {least} to {most}.", param=f"metadata[{key}]")
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A checkout session (`cs_…`). Without a `customer` it has books of its own until it makes one.

    `amount` is what is paid today, in minor units. `payment`, `setup`, `subscription`, `invoice` and `credit_grant`
    name what the session made.

    `coupon` is what will be redeemed when it is paid, by `promotion_code` where that is set; `discount` is what
    redeeming it made, where the session itself was paid. `allow_promotion_codes` says that the payer may type a code.

    `default_tax_rates` tax the lines of a subscription that have none; `tax_exempt` and `tax_rounding` are the
    customer's and the environment's as they were when the session was opened.
    """

    environment: str
    customer_id: UUID
    id: str
    customer: str | None
    mode: CheckoutMode
    status: CheckoutStatus
    payment_status: PaymentState
    created: datetime
    expires_at: datetime
    currency: str | None = None
    amount: int = 0
    lines: tuple[CheckoutLine, ...] = ()
    success_url: str | None = None
    cancel_url: str | None = None
    client_reference_id: str | None = None
    email: str | None = None
    make_customer: bool = False
    trial_days: int | None = None
    default_tax_rates: tuple[TaxRate, ...] = ()
    tax_exempt: TaxExemption = "none"
    tax_rounding: Rounding = "line"
    description: str | None = None
    setup_future_usage: Literal["off_session", "on_session"] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    result_metadata: Mapping[str, str] = field(default_factory=dict)
    payment: str | None = None
    setup: str | None = None
    subscription: str | None = None
    invoice: str | None = None
    payer_name: str | None = None
    payer_email: str | None = None
    credit_order: CreditOrder | None = None
    credit_grant: str | None = None
    coupon: Coupon | None = None
    promotion_code: str | None = None
    allow_promotion_codes: bool | None = None
    discount: str | None = None

    @property
    def subtotal(self) -> int:
        """What is sold today, before any discount."""
        return sum(line.amount for line in self.lines)

    @property
    def tax(self) -> int:
        """The tax in what is paid today."""
        return 0 if self.trial_days else sum(line.tax for line in self.lines)

    @property
    def rates(self) -> dict[str, TaxRate]:
        """Every tax rate of the session, by id."""
        return {rate.id: rate for line in self.lines for rate in (*line.tax_rates, *self.default_tax_rates)}

    @property
    def free(self) -> bool:
        """There is nothing to pay, though it was sold to be paid at once."""
        return self.mode == "payment" and self.amount == 0


def with_coupon(session: Checkout, coupon: Coupon | None, *, promotion_code: str | None, param: str) -> Checkout:
    """The open session with this coupon in the place of the one it had, and what is paid today with it.

    Refuses a coupon that leaves less than can be collected. On a trial nothing is paid today, so nothing goes off.
    """
    lines = [replace(line, discount=0) for line in session.lines]
    if coupon is not None and session.currency is not None and not session.trial_days:
        room = [line.amount if coupon.terms.covers(line.product) else 0 for line in lines]
        shares = taken(coupon.terms, room, currency=session.currency)
        lines = [replace(line, discount=share) for line, share in zip(lines, shares, strict=True)]
    after = reckoned(replace(session, lines=tuple(lines), coupon=coupon, promotion_code=promotion_code))
    if session.mode == "payment" and session.currency and 0 < after.amount < minimum_payment(session.currency):
        raise Refusal("This discount leaves less than the least amount that can be paid in this currency.", param=param)
    return after


def reckoned(session: Checkout) -> Checkout:
    """The session with the tax on what discounts leave of its lines, and what is paid today with it."""
    taxes = taxes_together(
        [line.amount - line.discount for line in session.lines],
        [line.tax_rates or session.default_tax_rates for line in session.lines],
        exemption=session.tax_exempt,
        rounding=session.tax_rounding,
    )
    lines = tuple(replace(line, taxes=each) for line, each in zip(session.lines, taxes, strict=True))
    amount = 0 if session.trial_days else sum(line.total for line in lines)
    after = replace(session, lines=lines, amount=amount, payment_status="unpaid" if amount else "no_payment_required")
    if session.credit_order is None:
        return after
    return replace(after, credit_order=ordered(session.metadata, paid=amount - after.tax))


def require_open(session: Checkout, *, now: datetime, act: str) -> None:
    """Refuses what can be done with an open session only."""
    if session.status != "open" or session.expires_at <= now:
        state = "complete" if session.status == "complete" else "expired"
        raise Refusal(f'Only Checkout Sessions with a status in ["open"] can be {act}. This one is {state}.')


def completed(session: Checkout) -> Checkout:
    """The session once the customer has done their part and the money, if any, was taken."""
    state: PaymentState = "paid" if session.amount > 0 else "no_payment_required"
    return replace(session, status="complete", payment_status=state)
