"""Count the usage of a draft again: for good when it is finalized, and for whoever looks at it before.

A draft is stored with the usage known when it was made. Both go through the same steps, so that a draft looks like
the invoice that it would become at that instant, down to the ids of lines that it did not have before.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.invoice.line import InvoiceLine
from meterline.invoice.model import Invoice
from meterline.refusal import Refusal
from meterline.store import customer as customers
from meterline.store.identifier import derived
from meterline.usecase.bill_late_usage import bill_late_usage
from meterline.usecase.bill_to import balance_for, bill_to
from meterline.usecase.count_usage import with_late_usage
from meterline.usecase.reckon_draft import reckoned


async def recounted(tx: AsyncConnection, draft: Invoice) -> tuple[InvoiceLine, ...]:
    """The lines of a draft as usage stands now, corrections of earlier windows included; nothing is stored.

    A line that the draft has keeps its id. A new one gets the same id whenever the draft is counted again.
    """
    return _identified(draft, await bill_late_usage(tx, draft, await with_late_usage(tx, draft)))


async def as_known_now(tx: AsyncConnection, invoices: Sequence[Invoice]) -> list[Invoice]:
    """These invoices, in their order, the drafts as they would be finalized now. Nothing is stored.

    A draft shows its customer, with their balance, its usage and its tax as they are now; its credits stay tentative.
    Any other invoice costs nothing here. A draft that could not be finalized, because no rate is known for some of its
    usage, is as it was stored.
    """
    drafts = [each for each in invoices if each.status == "draft"]
    if not drafts:
        return list(invoices)
    owners = await customers.find_all(tx, {each.customer_id for each in drafts})
    known = {each.id: await _known(tx, each, owners[each.customer_id]) for each in drafts}
    return [known.get(each.id, each) for each in invoices]


def _bills_usage(invoice: Invoice) -> bool:
    """A draft with metered lines, or of a cycle, which may carry a correction of a window that was billed before."""
    return invoice.billing_reason == "subscription_cycle" or any(line.usage is not None for line in invoice.lines)


async def _known(tx: AsyncConnection, draft: Invoice, customer: Customer) -> Invoice:
    if not _bills_usage(draft):
        owed = draft.amounts.starting_balance == balance_for(customer, draft.currency)
        stands = owed and draft.bill_to == bill_to(customer) and not draft.amounts.taxes
        return draft if stands else await reckoned(tx, draft, draft.lines, customer=customer)
    try:
        counted = await recounted(tx, draft)
    except Refusal:
        return draft
    return await reckoned(tx, draft, counted, customer=customer)


def _identified(draft: Invoice, lines: Sequence[InvoiceLine]) -> tuple[InvoiceLine, ...]:
    """The lines with an id each: a new one's follows from its draft and from which part of which usage it is."""
    seen: Counter[tuple[object, ...]] = Counter()
    result: list[InvoiceLine] = []
    for line in lines:
        part = (line.subscription_item, line.price, line.usage, line.tier, line.flat, line.late)
        seen[part] += 1
        result.append(line if line.id else replace(line, id=derived("il", draft.id, *map(str, part), str(seen[part]))))
    return tuple(result)
