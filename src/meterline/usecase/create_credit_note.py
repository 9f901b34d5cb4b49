"""Lower a finalized invoice by a credit note, and give back what of it was paid already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import TaxRate
from meterline.customer import Customer
from meterline.invoice.credit_note import (
    CreditNote,
    CreditNoteLine,
    LinkedRefund,
    Reason,
    Ways,
    creditable,
    issued,
    number,
    require_creditable,
    split,
)
from meterline.invoice.creditable import AskedLine, lines_of, spread
from meterline.invoice.model import Invoice
from meterline.payment.payment import Attempt
from meterline.payment.refund import Refund, RefundReason, refundable
from meterline.refusal import Missing, Refusal
from meterline.store import credit_note as store
from meterline.store import payment as payments
from meterline.store import refund as refunds
from meterline.store.identifier import public
from meterline.usecase import keep_books
from meterline.usecase.change_balance import change_balance
from meterline.usecase.credit_invoice import credit_invoice, tell
from meterline.usecase.find_tax_rates import find_tax_rates
from meterline.usecase.lock_invoice import lock_invoice
from meterline.usecase.refund_payment import refund_payment


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRefund:
    """A refund to be explained by the note: all of it that no other note explains, or `amount`."""

    param: str
    refund: str
    amount: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedNote:
    """A note as it was asked for: by its whole `amount`, or by `lines`. Amounts are minor units."""

    amount: int | None
    lines: Sequence[AskedLine]
    refund_amount: int
    credit_amount: int
    out_of_band_amount: int
    refunds: Sequence[AskedRefund]
    reason: Reason | None
    memo: str | None
    effective_at: datetime | None
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gathered:
    """The invoice with its notes, the charge that paid it, every refund of its charges, the tax rates asked for."""

    invoice: Invoice
    notes: Sequence[CreditNote]
    charge: Attempt | None
    refunds: Sequence[Refund]
    rates: Mapping[str, TaxRate]


async def preview_credit_note(tx: AsyncConnection, invoice: Invoice, asked: AskedNote, *, now: datetime) -> CreditNote:
    """The note as it would be made now; nothing is stored or moved. Raises as `create_credit_note` does."""
    note, _ = _decided(asked, await _gather(tx, invoice, asked, lock=False), now=now)
    lines = tuple(replace(line, id=f"cnli_preview_{place}") for place, line in enumerate(note.lines))
    return replace(note, lines=lines)


async def create_credit_note(tx: AsyncConnection, invoice: Invoice, asked: AskedNote, *, now: datetime) -> CreditNote:
    """Issue a note on an invoice. `now` is the customer's time, UTC.

    Raises Missing for what the note names, and Refusal for what cannot be credited.
    """
    locked = await lock_invoice(tx, environment=invoice.environment, id=invoice.id)
    gathered = await _gather(tx, locked.invoice, asked, lock=True)
    decided, ways = _decided(asked, gathered, now=now)
    lines = tuple(replace(line, id=public("cnli")) for line in decided.lines)
    note = await _given_back(
        tx, replace(decided, lines=lines), ways, charge=gathered.charge, customer=locked.customer, now=now
    )
    await store.add(tx, note)
    await keep_books.credit_note_issued(tx, note, now=now)
    await tell(tx, "credit_note.created", note, now=now)
    await credit_invoice(tx, locked.invoice, note, now=now)
    return note


async def _gather(tx: AsyncConnection, invoice: Invoice, asked: AskedNote, *, lock: bool) -> _Gathered:
    rates: dict[str, TaxRate] = {}
    for line in asked.lines:
        param = f"{line.param}[tax_rates]"
        named = await find_tax_rates(tx, invoice.environment, line.tax_rates, param=param)
        rates |= {rate.id: rate for rate in named}
    charges = await payments.taken_for(tx, invoice, lock=lock)
    return _Gathered(
        invoice=invoice,
        notes=await store.of_invoice(tx, customer_id=invoice.customer_id, invoice=invoice.id),
        charge=charges[-1] if charges else None,
        refunds=await refunds.of_charges(
            tx, customer_id=invoice.customer_id, charges=[charge.id for charge in charges]
        ),
        rates=rates,
    )


def _decided(asked: AskedNote, gathered: _Gathered, *, now: datetime) -> tuple[CreditNote, Ways]:
    """The note, without what only its making brings about: refunds and the change of the balance."""
    invoice, notes = gathered.invoice, gathered.notes
    require_creditable(invoice)
    assert invoice.number is not None, "what was finalized has a number"
    ways = Ways(
        refund=asked.refund_amount,
        to_balance=asked.credit_amount,
        out_of_band=asked.out_of_band_amount,
        linked=_linked(asked, gathered),
    )
    lines = _asked_lines(asked, gathered)
    total = sum(line.total for line in lines) if asked.amount is None else asked.amount
    most = creditable(invoice, notes, refunded=_unexplained(gathered) - sum(each.amount for each in ways.linked))
    said = "lines" if asked.amount is None else "amount"
    pre_payment, post_payment = split(invoice, total=total, most=most, ways=ways, param=said)
    if ways.refund:
        _require_refundable(gathered.charge, ways.refund)
    note = CreditNote(
        environment=invoice.environment,
        customer_id=invoice.customer_id,
        id=public("cn"),
        customer=invoice.customer,
        test_clock=invoice.test_clock,
        invoice=invoice.id,
        number=number(invoice.number, len(notes) + 1),
        created=now,
        effective_at=asked.effective_at or now,
        currency=invoice.currency,
        status="issued",
        total=total,
        pre_payment=pre_payment,
        post_payment=post_payment,
        to_balance=ways.to_balance,
        out_of_band=ways.out_of_band,
        refunds=ways.linked,
        lines=lines or spread(total, of=invoice, notes=notes),
        reason=asked.reason,
        memo=asked.memo,
        metadata=dict(asked.metadata),
    )
    return note, ways


def _asked_lines(asked: AskedNote, gathered: _Gathered) -> tuple[CreditNoteLine, ...]:
    if asked.amount is not None and asked.lines:
        raise Refusal("You may only specify one of these parameters: amount, lines.", param="lines")
    if asked.amount is None and not asked.lines:
        raise Refusal("You must provide one of `amount` or `lines`.", code="parameter_missing", param="amount")
    return lines_of(asked.lines, of=gathered.invoice, notes=gathered.notes, rates=gathered.rates)


def _explained(gathered: _Gathered, refund: str) -> int:
    """How much of a refund the notes explain already."""
    return sum(each.amount for note in issued(gathered.notes) for each in note.refunds if each.refund == refund)


def _unexplained(gathered: _Gathered) -> int:
    """What went back by refunds that no note is about."""
    returned = [refund for refund in gathered.refunds if refund.status in ("pending", "succeeded")]
    return sum(refund.amount - _explained(gathered, refund.id) for refund in returned)


def _linked(asked: AskedNote, gathered: _Gathered) -> tuple[LinkedRefund, ...]:
    known = {refund.id: refund for refund in gathered.refunds}
    linked: dict[str, LinkedRefund] = {}
    for each in asked.refunds:
        refund = known.get(each.refund)
        if refund is None:
            raise Missing("refund", each.refund, param=each.param)
        left = 0
        if refund.status in ("pending", "succeeded") and refund.id not in linked:
            left = refund.amount - _explained(gathered, refund.id)
        amount = left if each.amount is None else each.amount
        if not 0 < amount <= left:
            raise Refusal(
                f"The refund {refund.id} has {left} left that no credit note explains; {amount} cannot be linked.",
                param=each.param,
            )
        linked[refund.id] = LinkedRefund(refund=refund.id, amount=amount)
    return tuple(linked.values())


def _require_refundable(charge: Attempt | None, amount: int) -> None:
    if charge is None:
        raise Refusal(
            "The invoice was not paid by a charge, so that nothing can be refunded. Use `credit_amount` or"
            " `out_of_band_amount`.",
            param="refund_amount",
        )
    refundable(charge, amount=amount, param="refund_amount")


async def _given_back(
    tx: AsyncConnection, note: CreditNote, ways: Ways, *, charge: Attempt | None, customer: Customer, now: datetime
) -> CreditNote:
    """Refund, and credit the customer balance, as the note says."""
    if ways.refund:
        assert charge is not None
        reason: RefundReason | None = note.reason if note.reason in ("duplicate", "fraudulent") else None
        made = await refund_payment(tx, charge=charge, amount=ways.refund, reason=reason, metadata={}, now=now)
        note = replace(note, refunds=(*note.refunds, LinkedRefund(refund=made.id, amount=made.amount)))
    if ways.to_balance:
        _, entry = await change_balance(
            tx,
            customer=customer,
            amount=-ways.to_balance,
            currency=note.currency,
            type="credit_note",
            now=now,
            credit_note=note.id,
        )
        note = replace(note, customer_balance_transaction=entry.id)
    return note
