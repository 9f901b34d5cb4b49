"""What tax is on the lines of a draft, by their rates, the customer's standing and the environment's rounding."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.invoice.line import InvoiceLine
from meterline.invoice.model import Invoice
from meterline.invoice.tax import taxed
from meterline.store import tax_policy


async def with_tax(
    tx: AsyncConnection, draft: Invoice, lines: Sequence[InvoiceLine], *, customer: Customer
) -> tuple[InvoiceLine, ...]:
    """The lines, which carry their discounts and credits, with their tax as it is now."""
    if not draft.default_tax_rates and not any(line.tax_rates for line in lines):
        return tuple(replace(line, taxes=()) if line.taxes else line for line in lines)
    policy = await tax_policy.find(tx, draft.environment)
    return taxed(lines, default=draft.default_tax_rates, exemption=customer.tax_exempt, rounding=policy.rounding)
