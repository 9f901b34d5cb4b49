"""Change what may be changed of an invoice: nearly all of a draft, little of a finalized one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.invoice import state
from meterline.invoice.model import Invoice
from meterline.refusal import Refusal
from meterline.store import invoice as invoices
from meterline.usecase import record_invoice
from meterline.usecase.create_subscription import require_own_method
from meterline.usecase.find_tax_rates import find_tax_rates, require_agreement
from meterline.usecase.lock_invoice import lock_invoice
from meterline.usecase.reckon_draft import reckoned
from meterline.usecase.redeem_coupon import AskedDiscount, redeem_for
from meterline.usecase.use_discounts import ids_of, use_up_added

_AFTER_FINALIZATION = frozenset({"auto_advance", "default_payment_method", "metadata", "payment_method_types"})
"""What may still change once an invoice is finalized."""


async def update_invoice(
    tx: AsyncConnection,
    *,
    environment: str,
    id: str,
    changes: Mapping[str, object],
    discounts: Sequence[AskedDiscount] | None = None,
    default_tax_rates: Sequence[str] | None = None,
    now: datetime,
) -> Invoice:
    """The invoice with `changes`, fields of `Invoice` by name, and with these discounts in the place of those it has.

    `now` is the customer's time, UTC.

    `default_tax_rates`, a list of ids, are asked for apart from the `changes`; null leaves them. Raises Missing, or
    Refusal for what a finalized invoice does not allow and for contradicting terms.
    """
    locked = await lock_invoice(tx, environment=environment, id=id, param="id")
    before = locked.invoice
    apart = discounts is not None or default_tax_rates is not None
    if before.status != "draft" and (changes.keys() - _AFTER_FINALIZATION or apart):
        raise Refusal("Finalized invoices can't be updated in this way")
    after = replace(before, **changes)  # type: ignore[arg-type]
    if default_tax_rates is not None:
        after = await _taxed_anew(tx, after, default_tax_rates, customer=locked.customer)
    if "default_payment_method" in changes:
        method = after.default_payment_method
        await require_own_method(tx, locked.customer, method, param="default_payment_method")
    state.check_schedule(
        finalizes_at=after.automatically_finalizes_at if "automatically_finalizes_at" in changes else None,
        due_date=after.due_date if "due_date" in changes else None,
        now=now,
    )
    if after.automatically_finalizes_at != before.automatically_finalizes_at and "auto_advance" not in changes:
        after = replace(after, auto_advance=after.automatically_finalizes_at is not None)
    if after.status == "draft":
        after = await _checked_draft(tx, before, after)
    elif after.auto_advance != before.auto_advance:
        after = _switched(after, now=now)
    if discounts is not None:
        reuse = {*before.discounts, *ids_of(locked.customer)}
        after = replace(after, discounts=await redeem_for(tx, after, discounts, reuse=reuse, now=now))
        after = await reckoned(tx, after, after.lines, customer=locked.customer)
        await use_up_added(tx, before, after, locked.customer, now=now)
    if after == before:
        return before
    await record_invoice.changed(tx, before, after, types=("invoice.updated",), now=now)
    await _plan_anew(tx, before, after)
    return after


async def _taxed_anew(tx: AsyncConnection, draft: Invoice, ids: Sequence[str], *, customer: Customer) -> Invoice:
    """The draft with other default tax rates. Raises Missing, or Refusal for rates that it cannot have."""
    param = "default_tax_rates"
    rates = await find_tax_rates(tx, draft.environment, ids, already=draft.default_tax_rates, param=param)
    await require_agreement(tx, draft.environment, draft.lines, rates, param=param)
    return await reckoned(tx, replace(draft, default_tax_rates=rates), draft.lines, customer=customer)


async def _checked_draft(tx: AsyncConnection, before: Invoice, after: Invoice) -> Invoice:
    state.check_terms(
        collection_method=after.collection_method, days_until_due=after.days_until_due, due_date=after.due_date
    )
    if after.number not in (None, before.number) and await invoices.number_taken(
        tx, customer_id=after.customer_id, number=after.number, other_than=after.id
    ):
        raise Refusal(f"The invoice number {after.number} is already in use.", param="number")
    ends = after.automatically_finalizes_at or after.created + state.DRAFT_TIME
    return state.scheduled(after, auto_advance=after.auto_advance, finalizes_at=ends, collects_at=ends)


def _switched(invoice: Invoice, *, now: datetime) -> Invoice:
    """An open invoice whose automatic collection was switched on (it is tried at once) or off."""
    if not invoice.auto_advance:
        return state.held_back(invoice)
    charged = invoice.status == "open" and invoice.collection_method == "charge_automatically"
    return replace(invoice, next_payment_attempt=now if charged else None)


async def _plan_anew(tx: AsyncConnection, before: Invoice, after: Invoice) -> None:
    planned = (before.automatically_finalizes_at, before.next_payment_attempt)
    if planned == (after.automatically_finalizes_at, after.next_payment_attempt):
        return
    await record_invoice.call_off(tx, after)
    if after.status == "draft":
        await record_invoice.plan_finalization(tx, after)
    elif after.next_payment_attempt is not None:
        await record_invoice.plan_collection(tx, after, at=after.next_payment_attempt)


async def delete_invoice(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> Invoice:
    """The draft, deleted with the items on it. Raises Missing, or Refusal for any other invoice."""
    invoice = (await lock_invoice(tx, environment=environment, id=id)).invoice
    state.require_deletable(invoice)
    await record_invoice.removed(tx, invoice, now=now)
    return invoice
