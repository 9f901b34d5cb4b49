"""`/assets`: currencies, units of the seller's own, and their rates over time."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, model_validator

from meterline.api.wallet.listing import page_of
from meterline.api.wallet.params import Asset, Instant, ListQuery, Metadata, Params, Positive, Text
from meterline.api.wallet.route import Call, Json, Routes
from meterline.money import CURRENCIES, minor_digits, multiply, round_debit
from meterline.refusal import Missing, Refusal
from meterline.store import asset as store
from meterline.store.asset import Asset as Unit

routes = Routes("assets")

_ONE = Decimal(1)


class StartingRate(Params):
    """What one unit costs in `source`, or how many units one of `source` buys."""

    source: Asset = "USD"
    rate: Positive | None = None
    inverse_rate: Positive | None = None
    valid_from: Instant | None = None
    valid_to: Instant | None = None

    @model_validator(mode="after")
    def _complete(self) -> "StartingRate":
        if (self.rate is None) == (self.inverse_rate is None):
            raise ValueError("either rate or inverse_rate is required")
        if self.valid_from is not None and self.valid_to is not None and self.valid_to <= self.valid_from:
            raise ValueError("valid_to is after valid_from")
        return self

    def cost(self) -> Decimal:
        """What one unit costs, to as many decimals as are kept."""
        if self.rate is not None:
            return self.rate
        assert self.inverse_rate is not None
        cost = round_debit(store.inverse(self.inverse_rate))
        if cost == 0:
            raise Refusal("The rate is too small to be kept.", code="rate_zero", param="rates")
        return cost


class AssetCreate(Params):
    code: Asset
    name: Text
    precision: Annotated[int, Field(ge=0, le=12)] | None = None
    label: Text | None = None
    symbol: Annotated[str, Field(min_length=1, max_length=8)] | None = None
    rates: Annotated[list[StartingRate], Field(max_length=20)] | None = None
    metadata: Metadata | None = None


class RatesCreate(Params):
    rates: Annotated[list[StartingRate], Field(min_length=1, max_length=20)] | None = None
    source: Asset = "USD"
    rate: Positive | None = None
    inverse_rate: Positive | None = None
    valid_from: Instant | None = None
    valid_to: Instant | None = None

    def all(self) -> list[StartingRate]:
        """The rates told, singly or as a list."""
        if self.rates is not None:
            return self.rates
        if self.rate is None and self.inverse_rate is None:
            raise Refusal("A rate is required.", code="required", param="rate")
        return [StartingRate.model_validate(self.model_dump(exclude={"rates"}, exclude_none=True))]


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
                "inverse_rate": round_debit(store.inverse(each.rate)),
                "valid_from": each.valid_from.isoformat(),
                "valid_to": None if each.valid_to is None else each.valid_to.isoformat(),
            }
        )
    return {
        "code": unit.code,
        "name": unit.name,
        "precision": unit.precision,
        "label": unit.label or unit.code,
        "symbol": unit.symbol,
        "rates": [{"source": source, "schedule": rates} for source, rates in schedule.items()],
        "metadata": dict(unit.metadata),
        "created_at": unit.created.isoformat(),
    }


async def _set(call: Call[Any], code: str, rates: list[StartingRate]) -> None:
    for each in rates:
        if each.source.lower() not in CURRENCIES:
            raise Refusal("The source of a rate is a currency.", code="source_invalid", param="source")
        await store.set_rate(
            call.tx,
            environment=call.environment,
            code=code,
            source=each.source,
            rate=each.cost(),
            valid_from=each.valid_from or call.now,
            valid_to=each.valid_to,
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
        metadata=asked.metadata or {},
        created=call.now,
    )
    await store.add(call.tx, unit)
    await _set(call, unit.code, asked.rates or [])
    return await render(call, unit)


@routes.get("/assets", ListQuery)
async def listed(call: Call[ListQuery]) -> Json:
    """The seller's own units."""
    units = await store.all_of(call.tx, call.environment)
    return page_of(call.params, [await render(call, each) for each in units])


@routes.get("/assets/{code}", Params)
async def retrieve(call: Call[Params]) -> Json:
    """A unit of the seller's own with its rates, or a currency."""
    code = call.path["code"]
    if code.lower() not in CURRENCIES:
        return await render(call, await _known(call))
    return {
        "code": code.upper(),
        "name": code.upper(),
        "precision": minor_digits(code.lower()),
        "label": code.upper(),
        "symbol": None,
        "rates": [],
        "metadata": {},
        "created_at": "1970-01-01T00:00:00+00:00",
    }


async def _known(call: Call[Any]) -> Unit:
    found = await store.find(call.tx, call.environment, call.path["code"].upper())
    if found is None:
        raise Missing("asset", call.path["code"], subject=True)
    return found


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
        source_amount, amount = asked.amount, bought
    else:
        source_amount, amount = round_debit(multiply(asked.amount, rate.rate)), asked.amount
    return {
        "source": asked.source,
        "source_amount": source_amount,
        "destination": unit.code,
        "destination_amount": amount,
        "rate": rate.rate,
        "inverse_rate": round_debit(store.inverse(rate.rate)),
        "asset": unit.code,
        "amount": amount,
        "exchange_at": at.isoformat(),
    }
