"""Make, arm, disarm and put away alerts."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.limit.alert import Alert, Status, check_levels
from meterline.money import check_currency
from meterline.refusal import Missing, Refusal
from meterline.store import alert as store
from meterline.store import customer, meter


async def create_alert(tx: AsyncConnection, *, new: Alert, at: str = "", now: datetime) -> Alert:
    """Store an alert for a meter and a customer that exist. `at` is the parameter that holds them, for errors.

    Usage before now counts too, and is looked at when the next usage arrives. `now` is the wall clock, UTC.
    """
    check_levels(new.levels, param=f"{at}[gte]" if at else "levels")
    if new.unit == "percent" and new.measure != "allowance":
        raise Refusal("Percentages are of an allowance: use `measure=allowance`.", param="unit")
    of_money = new.measure in ("spend", "balance")
    if of_money != (new.asset is not None):
        raise Refusal("Alerts on spending and on balances, and no others, name an asset.", param="asset")
    if of_money and new.meter is not None:
        raise Refusal("Alerts on spending and on balances have no meter.", param="meter")
    if new.measure == "spend" and new.asset is not None:
        new = replace(new, asset=check_currency(new.asset, param="asset"))
    if new.meter is not None and not await meter.find(tx, new.environment, [new.meter]):
        raise Missing("billing meter", new.meter, param=f"{at}[meter]" if at else "meter")
    if new.customer is not None:
        param = f"{at}[filters][0][customer]" if at else "customer"
        found = await customer.get(tx, new.environment, new.customer, param=param)
        new = replace(new, customer_id=found.customer_id)
    await store.add(tx, replace(new, created=now, updated=now))
    return new


async def become(tx: AsyncConnection, *, environment: str, id: str, status: Status, now: datetime) -> Alert:
    """Arm (`active`), disarm (`inactive`) or put an alert away for good (`archived`).

    An alert armed again can fire again for customers whom it fired for before.
    """
    before = await store.get(tx, environment, id)
    if before.status == "archived":
        raise Refusal("This alert is archived and cannot be changed.", code="alert_archived")
    if before.status == status:
        raise Refusal(f"This alert is already {status}.")
    after = replace(before, status=status, updated=now)
    await store.save(tx, after)
    if status == "active":
        await store.forget(tx, environment, id)
    return after
