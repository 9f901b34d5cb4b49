"""`/token-prices`: what models cost, and debiting a call by its tokens."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field

from meterline.api.wallet import whose
from meterline.api.wallet.params import Asset, Id, Instant, NotNegative, Number, Params, Text
from meterline.api.wallet.route import Call, Json, Routes
from meterline.catalog.token import Kind, TokenLine, TokenPrice, charged, from_cost_map, price_call
from meterline.refusal import Refusal
from meterline.store import token_price as store
from meterline.usecase.move_funds import charge
from meterline.usecase.work_wallet import Answer, Refused, told

routes = Routes("token_prices")

Count = Annotated[int, Field(ge=0, le=10**12)]


class Import(Params):
    """A cost map in LiteLLM's JSON format, as `cost_map`."""

    cost_map: dict[str, Any]
    valid_from: Instant | None = None


class PricePut(Params):
    provider: Text
    currency: Text = "usd"
    prices: dict[Kind, NotNegative]
    long_from: Annotated[int, Field(ge=1)] | None = None
    long: dict[Kind, NotNegative] = {}
    valid_from: Instant | None = None


class Used(Params):
    model: Text
    usage: dict[Kind, Count]
    markup_percent: Number = Decimal(0)


class TokenCharge(Used):
    transaction_id: Id
    asset: Asset = "USD"
    subject: Text | None = None


class ListQuery(Params):
    model: Text | None = None
    at: Instant | None = None


@routes.post("/token-prices/import", Import)
async def import_map(call: Call[Import]) -> Json:
    """Take prices from a cost map; those that changed hold from now on, or from `valid_from`."""
    prices, without = from_cost_map(call.params.cost_map)
    changed = await store.put(call.tx, call.environment, prices, valid_from=call.params.valid_from or call.now)
    return {"models": len(prices), "changed": changed, "without_token_prices": without}


@routes.put("/token-prices/{model:path}", PricePut)
async def put(call: Call[PricePut]) -> Json:
    """Set what a model costs from now on, or from `valid_from`."""
    asked = call.params
    if (asked.long_from is None) == bool(asked.long):
        raise Refusal("Long prices and long_from go together.", code="required", param="long_from")
    price = TokenPrice(
        provider=asked.provider,
        model=call.path["model"],
        currency=asked.currency.lower(),
        prices=asked.prices,
        long_from=asked.long_from,
        long=asked.long,
    )
    await store.put(call.tx, call.environment, [price], valid_from=asked.valid_from or call.now)
    return render(price)


def render(price: TokenPrice) -> Json:
    """What a model costs."""
    return {
        "model": price.model,
        "provider": price.provider,
        "currency": price.currency,
        "prices": dict(price.prices),
        "long_from": price.long_from,
        "long": dict(price.long),
    }


@routes.get("/token-prices", ListQuery)
async def listed(call: Call[ListQuery]) -> Json:
    """The prices in force, now or at an instant."""
    at = call.params.at or call.now
    found = await store.in_force(call.tx, call.environment, at=at, model=call.params.model)
    return {"items": [render(each) for each in found], "total_count": len(found)}


def _lines(lines: tuple[TokenLine, ...]) -> list[Json]:
    return [
        {"kind": each.kind, "quantity": each.quantity, "unit": told(each.unit), "amount": told(each.exact)}
        for each in lines
    ]


@routes.post("/token-prices/quote", Used)
async def quote(call: Call[Used]) -> Json:
    """What a call of these tokens costs, kind by kind, and what a customer pays for it."""
    asked = call.params
    price = await store.get(call.tx, call.environment, asked.model, at=call.now)
    lines = price_call(price, asked.usage)
    return {
        "model": price.model,
        "currency": price.currency,
        "lines": _lines(lines),
        "cost": told(charged(lines, markup_percent=Decimal(0))),
        "amount": told(charged(lines, markup_percent=asked.markup_percent)),
    }


@routes.post("/customers/{customer}/wallet/token-charges", TokenCharge, status=201)
async def charge_tokens(call: Call[TokenCharge]) -> Answer | Refused:
    """Debit a call by its tokens at the price of now; refused beyond the balance. Once per transaction_id."""
    asked = call.params
    found = await whose.in_path(call)
    price = await store.get(call.tx, call.environment, asked.model, at=found.now)
    if price.currency.upper() != asked.asset:
        raise Refusal(f"{price.model} is priced in {price.currency.upper()}.", code="wrong_asset", param="asset")
    lines = price_call(price, asked.usage)
    amount = charged(lines, markup_percent=asked.markup_percent)
    if amount <= 0:
        raise Refusal("The call costs nothing.", code="nothing_to_charge", param="usage")
    return await charge(
        call.tx,
        environment=call.environment,
        customer_id=found.customer.customer_id,
        id=asked.transaction_id,
        asset=asked.asset,
        amount=amount,
        subject=asked.subject,
        description=f"{price.model}: {', '.join(f'{each.quantity} {each.kind}' for each in lines)}",
        marks=(price.model, price.provider),
        now=found.now,
    )
