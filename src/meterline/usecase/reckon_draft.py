"""What a draft comes to: its lines taken through the order of calculation, and their totals against the balance.

Drafts, edited drafts, recounted drafts and previews all come through here; finalization takes the same steps for good.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.invoice import state
from meterline.invoice.line import InvoiceLine
from meterline.invoice.model import Invoice
from meterline.invoice.total import totals
from meterline.usecase.bill_to import balance_for
from meterline.usecase.use_credits import with_tentative_credits
from meterline.usecase.use_discounts import with_discounts


async def reckoned(tx: AsyncConnection, draft: Invoice, lines: Sequence[InvoiceLine], *, customer: Customer) -> Invoice:
    """The draft with these lines after its discounts and what billing credits would pay of them now.

    Nothing is used or stored.
    """
    written = await with_tentative_credits(tx, draft, await with_discounts(tx, draft, lines))
    return state.reckoned(
        replace(draft, lines=written), totals=totals(written), balance=balance_for(customer, draft.currency)
    )
