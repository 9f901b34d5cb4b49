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
from meterline.usecase.apply_tax import with_tax
from meterline.usecase.bill_to import balance_for, bill_to
from meterline.usecase.use_credits import with_tentative_credits
from meterline.usecase.use_discounts import with_discounts


async def reckoned(tx: AsyncConnection, draft: Invoice, lines: Sequence[InvoiceLine], *, customer: Customer) -> Invoice:
    """The draft with these lines after its discounts, what billing credits would pay of them now, and their tax.

    Nothing is used or stored. The draft shows its customer, whose exemption it is taxed by, as they are now.
    """
    credited = await with_tentative_credits(tx, draft, await with_discounts(tx, draft, lines))
    written = await with_tax(tx, draft, credited, customer=customer)
    return state.reckoned(
        replace(draft, lines=written, bill_to=bill_to(customer)),
        totals=totals(written),
        balance=balance_for(customer, draft.currency),
    )
