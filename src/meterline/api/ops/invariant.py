"""`GET /ops/invariants`: what must always hold, whether it does, and where it does not."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from meterline.api.stripe.call import Call
from meterline.api.stripe.json import Json
from meterline.api.stripe.params import Params, Text
from meterline.api.stripe.route import Routes
from meterline.money import decimal_text
from meterline.refusal import Missing
from meterline.store import invariant as store
from meterline.store.invariant import INVARIANTS, Finding

routes = Routes("invariants")


class InvariantParams(Params):
    name: Text | None = None


@routes.get("/ops/invariants", InvariantParams)
async def listed(call: Call[InvariantParams]) -> Json:
    """Check every invariant of this environment, or the one named, as of one instant."""
    wanted = [each for each in INVARIANTS if call.params.name in (None, each.name)]
    if not wanted:
        raise Missing("invariant", call.params.name or "", param="name")
    found = [await store.check(call.tx, call.environment, each, now=call.now) for each in wanted]
    return {
        "object": "invariant_report",
        "data": [_render(each) for each in found],
        "holds": all(each.violations == 0 for each in found),
        "violations": sum(each.violations for each in found),
    }


def _render(finding: Finding) -> Json:
    return {
        "object": "invariant",
        "description": finding.invariant.holds,
        "holds": finding.violations == 0,
        "name": finding.invariant.name,
        "rows": [_row(row) for row in finding.rows],
        "violations": finding.violations,
    }


def _row(row: Mapping[str, Any]) -> Json:
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: object) -> object:
    """A value as JSON has it: decimals and everything else that is no JSON as text."""
    match value:
        case None | bool() | int() | str():
            return value
        case Decimal():
            return decimal_text(value)
        case _:
            return str(value)
