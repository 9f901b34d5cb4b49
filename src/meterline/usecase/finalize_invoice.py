"""Turn a draft into an open invoice: count late usage, use the balance, give it its number."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.invoice import state
from meterline.invoice.balance import Settlement
from meterline.invoice.model import Invoice
from meterline.invoice.number import number
from meterline.invoice.total import totals
from meterline.payment.payment import InvoicePayment, Payment
from meterline.refusal import Refusal
from meterline.store import billed_usage, due
from meterline.store import customer as customers
from meterline.store import invoice as invoices
from meterline.store import payment as payments
from meterline.store.identifier import public
from meterline.usecase import keep_books, record_invoice, record_payment
from meterline.usecase.apply_tax import with_tax
from meterline.usecase.bill_to import balance_for, bill_to
from meterline.usecase.change_balance import change_balance
from meterline.usecase.follow_invoice import follow_locked
from meterline.usecase.lock_invoice import Locked, lock_seen
from meterline.usecase.recount_draft import recounted
from meterline.usecase.use_credits import pay_with_credits
from meterline.usecase.use_discounts import with_discounts


async def finalize_invoice(
    tx: AsyncConnection, *, invoice: Invoice, now: datetime, auto_advance: bool | None = None
) -> Invoice:
    """The invoice as open, or as paid where nothing is due. `now` is the customer's time, UTC.

    Metered lines are computed again from the usage known now. `auto_advance` switches automatic collection on
    or off first; null leaves it. Nothing is collected here. Refuses what is not a draft.
    """
    locked = await lock_seen(tx, invoice)
    return (await finalize_locked(tx, locked, auto_advance=auto_advance, now=now)).invoice


async def finalize_locked(
    tx: AsyncConnection, locked: Locked, *, now: datetime, auto_advance: bool | None = None
) -> Locked:
    """As `finalize_invoice`, of what is locked; all of it as it is then."""
    draft, customer = locked.invoice, locked.customer
    state.require_draft(draft)
    if auto_advance is not None:
        draft = replace(draft, auto_advance=auto_advance)
    draft = await _counted(tx, draft)
    paid = await pay_with_credits(tx, draft, await with_discounts(tx, draft, draft.lines), now=now)
    lines = await with_tax(tx, draft, paid.lines, customer=customer)
    counted = replace(draft, lines=lines)
    await _require_free(tx, draft)
    sequence = await _next_sequence(tx, customer)
    issued, settlement = state.finalized(
        counted,
        totals=totals(lines),
        balance=balance_for(customer, draft.currency),
        number=number(customer.invoice_prefix, sequence),
        bill_to=bill_to(customer),
        now=now,
    )
    if draft.number is None:
        customer = replace(customer, next_invoice_sequence=sequence + 1)
        await customers.save(tx, customer)
    customer = await _use_balance(tx, customer, issued, settlement, now=now)
    await keep_books.invoice_finalized(tx, issued, credits=paid.slices, now=now)
    types = ["invoice.updated", "invoice.finalized"]
    if issued.status == "paid":
        types += ["invoice.paid", "invoice.payment_succeeded"]
    await record_invoice.changed(tx, locked.invoice, issued, types=types, now=now)
    await due.remove(tx, customer_id=issued.customer_id, subject=issued.id, kinds=[record_invoice.FINALIZE])
    if issued.status == "open":
        await _ask_for(tx, issued, now=now)
        await record_invoice.plan_overdue(tx, issued)
    subscription = locked.subscription
    if subscription is not None:
        standing = state.standing(issued, now=now)
        subscription = await follow_locked(tx, subscription, invoice=issued.id, standing=standing, now=now)
    return Locked(invoice=issued, customer=customer, subscription=subscription)


async def _counted(tx: AsyncConnection, draft: Invoice) -> Invoice:
    """The draft with its usage counted for good, and the instant after which usage comes too late for it."""
    lines = await recounted(tx, draft)
    metered = any(line.usage is not None for line in lines)
    return replace(draft, lines=lines, usage_counted_at=await billed_usage.counted_at(tx) if metered else None)


async def _require_free(tx: AsyncConnection, draft: Invoice) -> None:
    if draft.number is not None and await invoices.number_taken(
        tx, customer_id=draft.customer_id, number=draft.number, other_than=draft.id
    ):
        raise Refusal(f"The invoice number {draft.number} is already in use.", param="number")


async def _next_sequence(tx: AsyncConnection, customer: Customer) -> int:
    """The next of the customer's count; numbers that somebody chose by hand are passed over."""
    sequence = customer.next_invoice_sequence
    while await invoices.number_taken(
        tx, customer_id=customer.customer_id, number=number(customer.invoice_prefix, sequence)
    ):
        sequence += 1
    return sequence


async def _use_balance(
    tx: AsyncConnection, customer: Customer, issued: Invoice, settlement: Settlement, *, now: datetime
) -> Customer:
    if settlement.applied == 0:
        return customer
    left, _ = await change_balance(
        tx,
        customer=customer,
        amount=settlement.applied,
        currency=issued.currency,
        type="applied_to_invoice",
        now=now,
        invoice=issued.id,
    )
    return left


async def _ask_for(tx: AsyncConnection, issued: Invoice, *, now: datetime) -> None:
    """The payment that the invoice will be collected with; no processor hears of it yet."""
    id = public("pi")
    payment = Payment(
        environment=issued.environment,
        customer_id=issued.customer_id,
        id=id,
        customer=issued.customer,
        invoice=issued.id,
        amount=issued.amounts.remaining,
        currency=issued.currency,
        status="requires_payment_method",
        client_secret=f"{id}_{public('secret')}",
        created=now,
    )
    link = InvoicePayment(
        environment=issued.environment,
        customer_id=issued.customer_id,
        id=public("inpay"),
        invoice=issued.id,
        payment=id,
        amount_requested=payment.amount,
        amount_paid=None,
        currency=issued.currency,
        status="open",
        created=now,
    )
    await payments.add(tx, payment, link)
    await record_payment.tell(tx, "payment_intent.created", payment, now=now)
