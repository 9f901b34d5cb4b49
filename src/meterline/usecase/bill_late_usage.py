"""Bill usage that came after its invoice was finalized on the next one, and what was taken back since.

Nothing is noted when late usage arrives: the windows that were billed are counted again, when an invoice of the
subscription's cycle is drafted and when it is finalized. What a count does not see because it is not committed yet,
the next one does; so each event is on exactly one invoice, whatever it races with.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Price
from meterline.invoice.compose import UsageKey
from meterline.invoice.gathered import Gathered
from meterline.invoice.late import BilledWindow, billed_windows, correction, with_corrections
from meterline.invoice.line import InvoiceLine
from meterline.invoice.model import Invoice
from meterline.store import billed_usage, usage_policy
from meterline.store import price as prices
from meterline.subscription.billable import Billable
from meterline.usecase.count_usage import gather

REACH = timedelta(days=40)
"""How long before the start of an invoice's period the windows end that it looks at again.

Events may be 35 days late. So every one that is falls between two invoices that look at its window.
"""

_ALWAYS = datetime.max.replace(tzinfo=UTC)


async def bill_late_usage(tx: AsyncConnection, draft: Invoice, lines: Sequence[InvoiceLine]) -> tuple[InvoiceLine, ...]:
    """These lines of a draft, with a correction for each window whose usage differs from what was billed for it.

    Only invoices of a cycle carry corrections, the last one included, and only where the environment bills late
    usage.
    """
    return with_corrections(lines, await _corrections(tx, draft))


async def _corrections(tx: AsyncConnection, draft: Invoice) -> list[InvoiceLine]:
    if draft.billing_reason != "subscription_cycle" or draft.subscription is None:
        return []
    found = await billed_usage.about(
        tx,
        customer_id=draft.customer_id,
        since=draft.period_start - REACH,
        subscription=draft.subscription,
        but=draft.id,
    )
    billed = {
        key: window for key, window in billed_windows(found).items() if window.lines[0].currency == draft.currency
    }
    if not billed or (await usage_policy.find(tx, draft.environment)).late_usage == "ignore":
        return []
    return await corrections(tx, environment=draft.environment, customer_id=draft.customer_id, billed=billed)


async def corrections(
    tx: AsyncConnection, *, environment: str, customer_id: UUID, billed: Mapping[UsageKey, BilledWindow]
) -> list[InvoiceLine]:
    """What is to be corrected of these windows now, one line for each that differs.

    What came late through Stripe's routes is left out. It is told apart by the events themselves, which are only
    read where the counters differ from what was billed; where those events are past their retention, nothing is
    corrected.
    """
    counted = await _counted(tx, environment, customer_id, billed)
    changed = {key: window for key, window in billed.items() if correction(counted[key], window) is not None}
    if not changed:
        return []
    if await usage_policy.keep_events(tx) is not None:
        told = await _counted(tx, environment, customer_id, changed, in_time=dict.fromkeys(changed, _ALWAYS))
        changed = {key: window for key, window in changed.items() if told[key] == counted[key]}
    in_time = {key: window.counted_at for key, window in changed.items()}
    billable = await _counted(tx, environment, customer_id, changed, in_time=in_time)
    found = [correction(billable[key], window) for key, window in changed.items()]
    return [line for line in found if line is not None]


async def _counted(
    tx: AsyncConnection,
    environment: str,
    customer_id: UUID,
    billed: Mapping[UsageKey, BilledWindow],
    *,
    in_time: Mapping[UsageKey, datetime] | None = None,
) -> dict[UsageKey, Gathered]:
    priced = await prices.find(tx, environment, {price for _, price, _ in billed})
    gathered = await gather(
        tx,
        environment=environment,
        customer_id=customer_id,
        billables=[_billable(key, window, priced) for key, window in billed.items()],
        in_time={place: in_time[key] for place, key in enumerate(billed)} if in_time is not None else None,
    )
    return dict(zip(billed, gathered, strict=True))


def _billable(key: UsageKey, billed: BilledWindow, priced: Mapping[str, Price]) -> Billable:
    item, price, window = key
    first = billed.lines[0]
    return Billable(
        subscription=first.subscription or "",
        item=item,
        price=priced[price].in_currency(first.currency),
        quantity=None,
        usage=window,
        period=first.period,
        timing="arrears",
        tax_rates=first.tax_rates,
    )
