"""`/assets`: currencies, units of the seller's own, and their rates over time."""

from typing import Annotated, Any

from pydantic import Field

from meterline.api.wallet.params import Asset, Instant, Metadata, Params, Positive, Text
from meterline.api.wallet.route import Call, Json, Routes
from meterline.money import multiply, round_debit
from meterline.refusal import Missing, Refusal
from meterline.store import asset as store
from meterline.store.asset import Asset as Unit

routes = Routes("assets")


class RateParams(Params):
    source: Asset = "USD"
    rate: Positive
    valid_from: Instant | None = None


class AssetCreate(Params):
    code: Asset
    name: Text
    precision: Annotated[int, Field(ge=0, le=12)] = 0
    label: Text | None = None
    symbol: Annotated[str, Field(min_length=1, max_length=8)] | None = None
    rates: list[RateParams] = []
    metadata: Metadata = {}


class RatesCreate(Params):
    rates: Annotated[list[RateParams], Field(min_length=1, max_length=20)] | None = None
    source: Asset = "USD"
    rate: Positive | None = None
    valid_from: Instant | None = None

    def all(self) -> list[RateParams]:
        """The rates told, singly or as a list."""
        if self.rates is not None:
            return self.rates
        if self.rate is None:
            raise Refusal("A rate is required.", code="required", param="rate")
        return [RateParams(source=self.source, rate=self.rate, valid_from=self.valid_from)]


class Quote(Params):
    amount: Positive
    source: Asset = "USD"
    direction: Annotated[str, Field(pattern="^(buy|sell)$")] = "buy"
    exchange_at: Instant | None = None


async def render(call: Call[Any], unit: Unit) -> Json:
    """An asset with every rate it ever had."""
    schedule: dict[str, list[Json]] = {}
    for each in await store.rates(call.tx, call.environment, unit.code):
        schedule.setdefault(each.source, []).append(
            {
                "rate": each.rate,
                "valid_from": each.valid_from.isoformat(),
                "valid_to": None if each.valid_to is None else each.valid_to.isoformat(),
            }
        )
    return {
        "code": unit.code,
        "name": unit.name,
        "precision": unit.precision,
        "label": unit.label,
        "symbol": unit.symbol,
        "rates": [{"source": source, "schedule": rates} for source, rates in schedule.items()],
    }


async def _set(call: Call[Any], code: str, rates: list[RateParams]) -> None:
    for each in rates:
        await store.set_rate(
            call.tx,
            environment=call.environment,
            code=code,
            source=each.source,
            rate=each.rate,
            valid_from=each.valid_from or call.now,
        )


@routes.post("/assets", AssetCreate, status=201)
async def create(call: Call[AssetCreate]) -> Json:
    """Make a unit of the seller's own; currencies are there already."""
    asked = call.params
    unit = Unit(
        environment=call.environment,
        code=asked.code,
        name=asked.name,
        precision=asked.precision,
        label=asked.label,
        symbol=asked.symbol,
        metadata=asked.metadata,
        created=call.now,
    )
    await store.add(call.tx, unit)
    await _set(call, unit.code, asked.rates)
    return await render(call, unit)


@routes.get("/assets", Params)
async def listed(call: Call[Params]) -> Json:
    """The seller's own units."""
    units = await store.all_of(call.tx, call.environment)
    return {"items": [await render(call, each) for each in units], "total_count": len(units)}


async def _known(call: Call[Any]) -> Unit:
    code = call.path["code"].upper()
    found = [each for each in await store.all_of(call.tx, call.environment) if each.code == code]
    if not found:
        raise Missing("asset", code, subject=True)
    return found[0]


@routes.post("/assets/{code}/rates", RatesCreate, status=204)
async def add_rates(call: Call[RatesCreate]) -> None:
    """Let the unit cost something else from an instant on; the rate before it ends there."""
    unit = await _known(call)
    await _set(call, unit.code, call.params.all())


@routes.post("/assets/{code}/quote", Quote)
async def quote(call: Call[Quote]) -> Json:
    """What an amount of money buys of the unit, or what an amount of the unit costs; at any instant."""
    unit = await _known(call)
    asked = call.params
    at = asked.exchange_at or call.now
    rate = await store.rate_at(call.tx, call.environment, unit.code, asked.source, at)
    if asked.direction == "buy":
        bought = await store.units_for(call.tx, call.environment, unit.code, asked.amount, asked.source, at=at)
        amounts = {"source_amount": asked.amount, "amount": round_debit(bought)}
    else:
        amounts = {"source_amount": round_debit(multiply(asked.amount, rate.rate)), "amount": asked.amount}
    return {
        "asset": unit.code,
        "source": asked.source,
        "rate": rate.rate,
        "exchange_at": at.isoformat(),
        **amounts,
    }
