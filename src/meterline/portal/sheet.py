"""What a document says, as plain text in the order it is read: invoices, receipts and credit notes alike.

Every amount is written here, exact to the minor unit of its currency; the template only sets it. Dates are UTC.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from meterline.catalog import TaxRate
from meterline.customer import Address
from meterline.invoice.credit_note import CreditNote, CreditNoteLine
from meterline.invoice.line import InvoiceLine, LineTax
from meterline.invoice.model import BillTo, Invoice
from meterline.invoice.seller import Seller
from meterline.invoice.total import totals
from meterline.money import decimal_text, display, display_exact
from meterline.payment.payment import InvoicePayment

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_REASONS = {
    "duplicate": "Duplicate",
    "fraudulent": "Fraudulent",
    "order_change": "Order change",
    "product_unsatisfactory": "Product unsatisfactory",
}
_LETTER_COUNTRIES = frozenset({"US", "CA", "MX"})
_STATE_BEFORE_CODE = frozenset({"AU", "CA", "US"})
_LONGEST_WORD = 32
"""A longer run without a space may be broken anywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Somebody, with what is written below the name."""

    name: str
    below: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the table."""

    text: str
    detail: str = ""
    quantity: str = ""
    unit: str = ""
    amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """A line below the table; `strong` is what counts."""

    label: str
    amount: str
    strong: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A document. `link` is where it can be paid, `stamp` what is written across its head (`Void`, `Test`)."""

    title: str
    number: str
    stamp: str
    facts: tuple[tuple[str, str], ...]
    seller: Party
    recipient: Party
    headline: str
    link: str | None = None
    words: str = ""
    entries: tuple[Entry, ...]
    sums: tuple[Sum, ...]
    payments: tuple[tuple[str, str, str], ...] = ()
    footer: str = ""
    paper: str = "a4"
    created: datetime = field(repr=False)

    def plain(self) -> dict[str, Any]:
        """As JSON has it, harmless to set: no control or direction marks, no word that cannot be broken."""
        whole = asdict(self)
        del whole["created"]
        return {name: _settable(value) for name, value in whole.items()} | {"link": self.link}


def invoice_sheet(invoice: Invoice, seller: Seller, *, link: str) -> Sheet:
    """The invoice, with what is left to pay."""
    owed = invoice.status in ("open", "uncollectible")
    remaining = display(invoice.amounts.remaining if owed else 0, invoice.currency)
    due = None if invoice.due_date is None else _day(invoice.due_date)
    facts = [("Invoice number", invoice.number or ""), ("Date of issue", _day(_issued(invoice)))]
    facts += [("Date due", due)] if due else []
    facts += _paid_on(invoice)
    if owed:
        headline = f"{remaining} due {due}" if due else f"{remaining} due"
    elif invoice.status == "void":
        headline = "This invoice is void. Nothing is owed."
    else:
        headline = f"{_money(invoice, invoice.amounts.total)} paid"
    return Sheet(
        title="Invoice",
        number=invoice.number or "",
        stamp=_stamp(invoice.environment, void=invoice.status == "void"),
        facts=(*facts, *_custom(invoice)),
        seller=_seller(seller),
        recipient=_recipient(invoice.bill_to),
        headline=headline,
        link=link if owed else None,
        words=invoice.description or "",
        entries=tuple(_entry(line) for line in invoice.lines),
        sums=(*_sums(invoice), Sum(label="Amount due", amount=remaining, strong=True)),
        footer=invoice.footer or "",
        paper=_paper(invoice),
        created=_issued(invoice),
    )


def receipt_sheet(invoice: Invoice, seller: Seller, *, paid: Sequence[tuple[InvoicePayment, str]]) -> Sheet:
    """What was received for a paid invoice: each payment with the words for its method."""
    assert invoice.paid_at is not None, "a receipt is for what was paid"
    received = _money(invoice, invoice.amounts.paid)
    facts = (("Invoice number", invoice.number or ""), *_paid_on(invoice))
    return Sheet(
        title="Receipt",
        number=invoice.number or "",
        stamp=_stamp(invoice.environment),
        facts=(*facts, *_custom(invoice)),
        seller=_seller(seller),
        recipient=_recipient(invoice.bill_to),
        headline=f"{received} paid on {_day(invoice.paid_at)}",
        words=invoice.description or "",
        entries=tuple(_entry(line) for line in invoice.lines),
        sums=(*_sums(invoice), Sum(label="Amount paid", amount=received, strong=True)),
        payments=tuple(
            (method, _day(each.paid_at or invoice.paid_at), _money(invoice, each.amount_paid or 0))
            for each, method in paid
        ),
        footer=invoice.footer or "",
        paper=_paper(invoice),
        created=invoice.paid_at,
    )


def credit_note_sheet(note: CreditNote, invoice: Invoice, seller: Seller) -> Sheet:
    """The credit note, with the way that its money went."""
    amount = display(note.total, note.currency)
    reason = [] if note.reason is None else [("Reason", _REASONS[note.reason])]
    facts = [
        ("Credit note number", note.number),
        ("Invoice number", invoice.number or ""),
        ("Date of issue", _day(note.effective_at)),
        *reason,
    ]
    return Sheet(
        title="Credit note",
        number=note.number,
        stamp=_stamp(note.environment, void=note.status == "void"),
        facts=(*facts, *_custom(invoice)),
        seller=_seller(seller),
        recipient=_recipient(invoice.bill_to),
        headline="This credit note is void." if note.status == "void" else f"{amount} credited",
        words=note.memo or "",
        entries=tuple(_credited(line, note.currency) for line in note.lines),
        sums=_note_sums(note),
        footer=invoice.footer or "",
        paper=_paper(invoice),
        created=note.effective_at,
    )


def _issued(invoice: Invoice) -> datetime:
    found = invoice.effective_at or invoice.finalized_at
    assert found is not None, "what was finalized has a date of issue"
    return found


def _paid_on(invoice: Invoice) -> list[tuple[str, str]]:
    return [] if invoice.paid_at is None else [("Date paid", _day(invoice.paid_at))]


def _custom(invoice: Invoice) -> list[tuple[str, str]]:
    return [(each.name, each.value) for each in invoice.custom_fields or ()]


def _stamp(environment: str, *, void: bool = False) -> str:
    if void:
        return "Void"
    return "" if environment == "live" else "Test"


def _entry(line: InvoiceLine) -> Entry:
    start, end = _day(line.period.start), _day(line.period.end)
    period = "" if line.period.start == line.period.end else f"{start} – {end}"
    taken = sum(each.amount for each in line.discounts if each.level == "line")
    off = f"Discount {display(-taken, line.currency)}" if taken else ""
    return Entry(
        text=line.description or "",
        detail=" · ".join(part for part in (period, off) if part),
        quantity="" if line.quantity is None or line.flat else decimal_text(line.quantity),
        unit=_unit(line.unit_amount, line.currency),
        amount=display(line.amount - taken, line.currency),
    )


def _credited(line: CreditNoteLine, currency: str) -> Entry:
    return Entry(
        text=line.description or "",
        quantity="" if line.quantity is None else str(line.quantity),
        unit=_unit(line.unit_amount, currency),
        amount=display(line.amount - sum(each.amount for each in line.discounts if each.level == "line"), currency),
    )


def _unit(amount: Decimal | None, currency: str) -> str:
    return "" if amount is None else display_exact(amount, currency)


def _sums(invoice: Invoice) -> Iterable[Sum]:
    """From the subtotal to what was to be paid, as it was reckoned."""
    amounts = invoice.amounts
    currency = invoice.currency
    discounts = sum(each.amount for line in invoice.lines for each in line.discounts if each.level == "invoice")
    credits = sum(amount for _, amount in amounts.credits)
    yield Sum(label="Subtotal", amount=display(amounts.subtotal, currency))
    yield from _taken("Discount", discounts, currency)
    yield from _taken("Billing credits", credits, currency)
    rates = [rate for line in invoice.lines for rate in line.tax_rates or ()]
    names = _names([*invoice.default_tax_rates, *rates])
    yield from _taxes(amounts.taxes, names, amounts.total_excluding_tax, currency)
    yield Sum(label="Total", amount=display(amounts.total, currency), strong=True)
    applied = (amounts.ending_balance or 0) - amounts.starting_balance
    yield from _taken("Customer balance", applied, currency)
    yield from _taken("Credit notes", amounts.pre_payment_credit_notes, currency)
    if invoice.status != "paid":
        yield from _taken("Paid", amounts.paid, currency)
    else:
        yield from _taken("Amount paid", amounts.paid, currency)
    if amounts.post_payment_credit_notes:
        given = display(amounts.post_payment_credit_notes, currency)
        yield Sum(label="Credited after payment", amount=given)


def _note_sums(note: CreditNote) -> tuple[Sum, ...]:
    sums = totals(note.lines)
    currency = note.currency
    discounts = sum(each.amount for line in note.lines for each in line.discounts if each.level == "invoice")
    names = _names(rate for line in note.lines for rate in line.tax_rates)
    ways = (
        ("Lowers what is due", note.pre_payment),
        ("Refunded", note.refunded),
        ("To the customer balance", note.to_balance),
        ("Returned by other means", note.out_of_band),
    )
    return (
        Sum(label="Subtotal", amount=display(sums.subtotal, currency)),
        *_taken("Discount", discounts, currency),
        *_taken("Billing credits", sum(amount for _, amount in sums.credits), currency),
        *_taxes(sums.taxes, names, sums.total_excluding_tax, currency),
        Sum(label="Total credited", amount=display(note.total, currency), strong=True),
        *(Sum(label=label, amount=display(amount, currency)) for label, amount in ways if amount),
    )


def _taken(label: str, amount: int, currency: str) -> list[Sum]:
    return [Sum(label=label, amount=display(-amount, currency))] if amount else []


def _taxes(taxes: Sequence[LineTax], names: Mapping[str, str], excluding: int, currency: str) -> Iterable[Sum]:
    yield from _taken("Tax inside, not asked for", sum(tax.waived for tax in taxes), currency)
    if taxes:
        yield Sum(label="Total excluding tax", amount=display(excluding, currency))
    for tax in taxes:
        rate = f" {decimal_text(tax.percentage)} %" if tax.percentage else ""
        where = ", included" if tax.inside else ""
        label = f"{names.get(tax.tax_rate, 'Tax')}{rate} on {display(tax.taxable_amount, currency)}{where}"
        yield Sum(label=label, amount=display(tax.amount, currency))


def _names(rates: Iterable[TaxRate]) -> dict[str, str]:
    return {rate.id: rate.display_name for rate in rates}


def _money(invoice: Invoice, amount: int) -> str:
    return display(amount, invoice.currency)


def _seller(seller: Seller) -> Party:
    below = [*_place(seller.address), seller.email, seller.phone, seller.url]
    below += [f"Tax ID {seller.tax_id}"] if seller.tax_id else []
    return Party(name=seller.name or "", below=tuple(line for line in below if line))


def _recipient(bill_to: BillTo) -> Party:
    name = bill_to.name or bill_to.email or ""
    below = [*_place(bill_to.address), bill_to.phone, bill_to.email if bill_to.name else None]
    return Party(name=name, below=tuple(line for line in below if line))


def _place(address: Address | None) -> list[str]:
    if address is None:
        return []
    if (address.country or "").upper() in _STATE_BEFORE_CODE:
        state = " ".join(part for part in (address.state, address.postal_code) if part)
        town = [address.city, state]
    else:
        town = [" ".join(part for part in (address.postal_code, address.city) if part), address.state]
    lines = (address.line1, address.line2, ", ".join(part for part in town if part), address.country)
    return [line for line in lines if line]


def _paper(invoice: Invoice) -> str:
    asked = invoice.rendering and invoice.rendering.page_size
    if asked in ("a4", "letter"):
        return "a4" if asked == "a4" else "us-letter"
    place = invoice.bill_to.address
    country = (place.country if place is not None else None) or ""
    return "us-letter" if country.upper() in _LETTER_COUNTRIES else "a4"


def _day(instant: datetime) -> str:
    at = instant.astimezone(UTC)
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"


def _settable(value: Any) -> Any:
    match value:
        case str():
            return _breakable("".join(each if _harmless(each) else " " for each in value))
        case dict():
            return {name: _settable(member) for name, member in value.items()}
        case list() | tuple():
            return [_settable(member) for member in value]
    return value


def _harmless(letter: str) -> bool:
    """Not a control, a mark that turns the direction of text, or half of a pair that stands for nothing."""
    number = ord(letter)
    turns = 0x202A <= number <= 0x202E or 0x2066 <= number <= 0x2069 or number in (0x200E, 0x200F)
    return letter == "\n" or not (number < 0x20 or 0x7F <= number < 0xA0 or turns or 0xD800 <= number < 0xE000)


def _breakable(text: str) -> str:
    """The text with places to break in words that are too long to fit anywhere."""
    words = text.split(" ")
    return " ".join(
        word
        if len(word) <= _LONGEST_WORD
        else "\u200b".join(word[at : at + _LONGEST_WORD // 2] for at in range(0, len(word), _LONGEST_WORD // 2))
        for word in words
    )
