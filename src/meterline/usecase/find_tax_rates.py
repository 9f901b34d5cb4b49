"""Find the tax rates that a call puts on something."""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import TaxRate
from meterline.catalog.tax_rate import check_behavior, check_use
from meterline.invoice.line import InvoiceLine
from meterline.refusal import Missing
from meterline.store import price as prices
from meterline.store import tax_rate


async def find_tax_rates(
    tx: AsyncConnection, environment: str, ids: Sequence[str], *, already: Collection[TaxRate] = (), param: str
) -> tuple[TaxRate, ...]:
    """The rates of those ids, in their order; those that the thing has `already` may be inactive by now.

    `param` is where the caller names them. Raises Missing, or Refusal for what cannot be put together.
    """
    known = await tax_rate.find(tx, environment, ids)
    for place, id in enumerate(ids):
        if id not in known:
            raise Missing("tax rate", id, param=f"{param}[{place}]")
    rates = tuple(known[id] for id in ids)
    check_use(rates, already=already, param=param)
    return rates


async def require_agreement(
    tx: AsyncConnection, environment: str, lines: Iterable[InvoiceLine], default: Sequence[TaxRate], *, param: str
) -> None:
    """Refuse default rates that contradict the price of a line which they would tax."""
    taxed = {line.price: line.currency for line in lines if line.price is not None and line.tax_rates is None}
    if not default or not taxed:
        return
    for id, price in (await prices.find(tx, environment, taxed)).items():
        check_behavior(price.in_currency(taxed[id]).tax_behavior, default, param=param)
