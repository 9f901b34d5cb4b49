"""Limits: the budgets that bound spending, the customer's own to set, and the alerts that tell of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.limit.alert import Alert
from meterline.money import display_exact
from meterline.portal.balance import amount_in, pockets_of
from meterline.portal.guest import Done, Guest, Outcome, Section
from meterline.portal.shown import number, value
from meterline.store import meter as meters
from meterline.usecase import keep_budget
from meterline.usecase.limit_own_spending import lift_own_budget, own_wallet, set_own_budget
from meterline.usecase.show_alerts import Standing, show_alerts

_MOST = 50
_WINDOWS = {"hour": "per hour", "day": "per day", "week": "per week", "month": "per month", "total": "in total"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An alert as the customer is shown it; everything in words."""

    title: str
    watched: str
    levels: tuple[tuple[str, bool], ...]
    reached: str
    crossed: bool
    expected_at: datetime | None


async def show(tx: AsyncConnection, guest: Guest) -> Mapping[str, Any]:
    """Budgets with what they leave, and alerts with what they have seen."""
    budgets = []
    if guest.wallet is not None:
        budgets = await keep_budget.standings(await own_wallet(tx, guest.visit))
    pockets = await pockets_of(tx, guest)
    return {
        "budgets": budgets[:_MOST],
        "more_budgets": max(len(budgets) - _MOST, 0),
        "assets": [pocket.asset for pocket in pockets] or [(guest.visit.customer.currency or "usd").upper()],
        "windows": _WINDOWS,
        "alerts": (await standings(tx, guest))[:_MOST],
        "has_wallet": guest.wallet is not None,
    }


async def standings(tx: AsyncConnection, guest: Guest) -> list[Told]:
    """Every alert that concerns the customer, those that were crossed first."""
    visit = guest.visit
    found = await show_alerts(tx, customer=visit.customer, now=visit.now, wall=guest.wall)
    known = await meters.find(tx, visit.environment, sorted({each.watch.meter for each in found}))
    told = [_told(each, {id: meter.display_name for id, meter in known.items()}) for each in found]
    return sorted(told, key=lambda each: not each.crossed)


def _told(standing: Standing, names: Mapping[str, str]) -> Told:
    alert, watch = standing.alert, standing.watch
    return Told(
        title=alert.title,
        watched=_watched(alert, names.get(watch.meter, "")),
        levels=tuple((_level(alert, level), level in watch.crossed) for level in alert.levels),
        reached="" if watch.value is None else _amount(alert, watch.value),
        crossed=bool(watch.crossed),
        expected_at=standing.expected_at,
    )


def _watched(alert: Alert, meter: str) -> str:
    match alert.measure:
        case "spend":
            return "What your usage costs"
        case "balance":
            return f"Your {alert.asset} balance"
        case "allowance":
            return f"{meter}, against what is included"
        case "usage":
            return meter


def _level(alert: Alert, level: Decimal) -> str:
    return f"{number(level)} %" if alert.unit == "percent" else _amount(alert, level)


def _amount(alert: Alert, amount: Decimal) -> str:
    if alert.measure == "spend" and alert.asset is not None:
        return display_exact(amount, alert.asset.lower())
    if alert.measure == "balance" and alert.asset is not None:
        return value(amount, alert.asset)
    return number(amount)


async def put(tx: AsyncConnection, guest: Guest) -> Outcome:
    """Set a budget of the customer's own."""
    await set_own_budget(
        tx,
        guest.visit,
        id=guest.said.get("id"),
        asset=guest.said.get("asset", "").upper(),
        amount=amount_in(guest, "amount", what="how much may be spent"),
        window=guest.said.get("window", ""),
        hard=guest.said.get("hard") != "no",
    )
    return Done("limited")


async def lift(tx: AsyncConnection, guest: Guest) -> Outcome:
    """Lift a budget of the customer's own."""
    await lift_own_budget(tx, guest.visit, id=guest.said.get("id", ""))
    return Done("lifted")


SECTION = Section(
    name="limits",
    title="Limits",
    template="portal/limits.html",
    show=show,
    has=lambda _: True,
    acts={"put": put, "lift": lift},
)
