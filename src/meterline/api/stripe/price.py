"""`/v1/prices`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe import price_amount
from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import expandable, fetcher, includable
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import (
    Bool,
    Currency,
    Hash,
    InstantFilter,
    List,
    ListParams,
    Metadata,
    Params,
    RetrieveParams,
    Text,
    Unset,
    merge_metadata,
)
from meterline.api.stripe.price_amount import (
    Amount,
    AmountDecimal,
    CustomUnitAmount,
    TaxBehavior,
    Tiers,
    TransformQuantity,
    either,
    flat_model,
    tiered_model,
)
from meterline.api.stripe.price_currency import CurrencyOptions, options_of
from meterline.api.stripe.price_recurring import MeteredParams, recurring_of
from meterline.api.stripe.product_data import ProductData, product_of
from meterline.api.stripe.route import Routes
from meterline.api.stripe.search import SearchParams, searchable
from meterline.api.stripe.snapshot import snapshots
from meterline.catalog import CurrencyOption, Package, PerUnit, Price, PriceModel, Product
from meterline.refusal import Refusal
from meterline.store import price as store
from meterline.store import row
from meterline.store.identifier import public
from meterline.usecase.change_price import change_price
from meterline.usecase.create_price import create_price

routes = Routes("prices")

LookupKey = Annotated[Text, Field(max_length=200)]

expandable("price", "product", kind="product")


class PriceCreate(Params):
    currency: Currency
    active: Bool = True
    billing_scheme: Literal["per_unit", "tiered"] | None = None
    currency_options: CurrencyOptions = {}
    custom_unit_amount: CustomUnitAmount | None = None
    lookup_key: LookupKey | None = None
    metadata: Metadata = {}
    nickname: Text | None = None
    product: Text | None = None
    product_data: ProductData | None = None
    recurring: MeteredParams | None = None
    tax_behavior: TaxBehavior = "unspecified"
    tiers: Tiers | None = None
    tiers_mode: Literal["graduated", "volume"] | None = None
    transfer_lookup_key: Bool = False
    transform_quantity: TransformQuantity | None = None
    unit_amount: Amount | None = None
    unit_amount_decimal: AmountDecimal | None = None


class PriceUpdate(Params):
    active: Bool | None = None
    currency_options: Unset[CurrencyOptions] = None
    lookup_key: Unset[LookupKey] = None
    metadata: Metadata = {}
    nickname: Unset[Text] = None
    tax_behavior: TaxBehavior | None = None
    transfer_lookup_key: Bool = False


class RecurringFilter(Hash):
    interval: Literal["day", "month", "week", "year"] | None = None
    meter: Text | None = None
    usage_type: Literal["licensed", "metered"] | None = None


class PriceList(ListParams):
    active: Bool | None = None
    created: InstantFilter | None = None
    currency: Currency | None = None
    lookup_keys: Annotated[List[Text], Field(max_length=10)] | None = None
    product: Text | None = None
    recurring: RecurringFilter | None = None
    type: Literal["one_time", "recurring"] | None = None


def render(price: Price) -> Json:
    """The price object; `tiers` and `currency_options` are there for who expands them."""
    recurring = price.recurring
    rendered = {
        "id": price.id,
        "object": "price",
        "active": price.active,
        **price_amount.scheme(price.model),
        **price_amount.amounts(price.model),
        "created": unix(price.created),
        "currency": price.currency,
        "livemode": price.environment == "live",
        "lookup_key": price.lookup_key,
        "metadata": dict(price.metadata),
        "nickname": price.nickname,
        "product": price.product,
        "recurring": recurring
        and {
            "interval": recurring.interval.unit,
            "interval_count": recurring.interval.count,
            "meter": recurring.meter,
            "trial_period_days": recurring.trial_period_days,
            "usage_type": recurring.usage_type,
        },
        "tax_behavior": price.tax_behavior,
        "type": "one_time" if recurring is None else "recurring",
    }
    return includable(rendered, currency_options=_options(price), tiers=price_amount.tiers(price.model))


def _options(price: Price) -> Json:
    """Every currency the price is sold in, its own included."""
    own = CurrencyOption(model=price.model, tax_behavior=price.tax_behavior)
    options = {price.currency: own, **price.currency_options}
    rendered = {}
    for currency, option in sorted(options.items()):
        body = price_amount.amounts(option.model) | {"tax_behavior": option.tax_behavior}
        rendered[currency] = includable(body, tiers=price_amount.tiers(option.model))
    return rendered


snapshots(Price, render, url="/v1/prices/{id}")


@fetcher("price")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}


@routes.post("/v1/prices", PriceCreate)
async def create(call: Call[PriceCreate]) -> Json:
    """Create a price of a product, or of a product made along with it."""
    asked = call.params
    product = _product(call)
    recurring = recurring_of(asked.recurring)
    model = _model(asked)
    if recurring is None and asked.billing_scheme == "tiered":
        raise Refusal("Prices with `type=one_time` are not supported with tiered billing.", param="interval")
    new = Price(
        environment=call.environment,
        id=public("price"),
        product=asked.product or (product.id if product is not None else ""),
        currency=asked.currency,
        model=model,
        recurring=recurring,
        active=asked.active,
        nickname=asked.nickname,
        lookup_key=asked.lookup_key,
        tax_behavior=asked.tax_behavior,
        currency_options=options_of(asked.currency_options, model),
        metadata=merge_metadata({}, asked.metadata),
        created=call.now,
    )
    made = await create_price(
        call.tx, new=new, along_with=product, transfer_lookup_key=asked.transfer_lookup_key, now=call.now
    )
    return render(made)


def _product(call: Call[PriceCreate]) -> Product | None:
    asked = call.params
    if asked.product is None and asked.product_data is None:
        raise Refusal("You must specify either `product` or `product_data` when creating a price.")
    if asked.product is not None and asked.product_data is not None:
        raise Refusal("You may only specify one of these parameters: product, product_data.", param="product")
    if asked.product_data is None:
        return None
    return product_of(asked.product_data, environment=call.environment, now=call.now)


def _model(asked: PriceCreate) -> PriceModel:
    if asked.billing_scheme == "tiered":
        return _tiered(asked)
    if asked.tiers is not None or asked.tiers_mode is not None:
        raise Refusal("`tiers` and `tiers_mode` can only be set when `billing_scheme=tiered`.", param="tiers")
    unit = either(asked.unit_amount, asked.unit_amount_decimal, "unit_amount", param="unit_amount")
    flat = flat_model(unit, asked.custom_unit_amount, at="")
    if not isinstance(flat, PerUnit) and asked.recurring is not None:
        raise Refusal("Recurring prices cannot have a `custom_unit_amount`.", param="custom_unit_amount")
    if asked.transform_quantity is None:
        return flat
    if not isinstance(flat, PerUnit):
        raise Refusal("`transform_quantity` cannot be combined with `custom_unit_amount`.", param="transform_quantity")
    return Package(size=asked.transform_quantity.divide_by, unit=flat.unit, round=asked.transform_quantity.round)


def _tiered(asked: PriceCreate) -> PriceModel:
    if asked.tiers is None:
        raise Refusal("You must specify `tiers` when `billing_scheme=tiered`.", param="tiers")
    if asked.tiers_mode is None:
        raise Refusal("You must specify `tiers_mode` when `billing_scheme=tiered`.", param="tiers_mode")
    excluded = {
        "unit_amount": asked.unit_amount,
        "unit_amount_decimal": asked.unit_amount_decimal,
        "custom_unit_amount": asked.custom_unit_amount,
        "transform_quantity": asked.transform_quantity,
    }
    for name, value in excluded.items():
        if value is not None:
            raise Refusal(f"`{name}` cannot be combined with `billing_scheme=tiered`.", param=name)
    return tiered_model(asked.tiers, asked.tiers_mode)


@routes.get("/v1/prices/search", SearchParams)
async def search(call: Call[SearchParams]) -> Json:
    """Search prices."""
    return await searchable(call, store.SEARCH, Price, render)


@routes.get("/v1/prices/{price}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one price."""
    return render(await store.get(call.tx, call.environment, call.path["price"], subject=True))


@routes.post("/v1/prices/{price}", PriceUpdate)
async def change(call: Call[PriceUpdate]) -> Json:
    """Change a price; its amounts never change."""
    asked = call.params
    before = await store.get(call.tx, call.environment, call.path["price"], subject=True, lock=True)
    if asked.tax_behavior not in (None, before.tax_behavior) and before.tax_behavior != "unspecified":
        raise Refusal(
            "You cannot change the `tax_behavior` of a price once it has been set to `inclusive` or `exclusive`.",
            param="tax_behavior",
        )
    after = replace(
        before,
        active=before.active if asked.active is None else asked.active,
        currency_options=_changed_options(before, asked),
        lookup_key=asked.lookup_key if asked.sent("lookup_key") else before.lookup_key,
        metadata=merge_metadata(before.metadata, asked.metadata),
        nickname=asked.nickname if asked.sent("nickname") else before.nickname,
        tax_behavior=asked.tax_behavior or before.tax_behavior,
    )
    changed = await change_price(
        call.tx, before=before, after=after, transfer_lookup_key=asked.transfer_lookup_key, now=call.now
    )
    return render(changed)


def _changed_options(before: Price, asked: PriceUpdate) -> Mapping[str, CurrencyOption]:
    if not asked.sent("currency_options"):
        return before.currency_options
    if asked.currency_options is None:
        return {}
    return {**before.currency_options, **options_of(asked.currency_options, before.model)}


@routes.get("/v1/prices", PriceList)
async def listed(call: Call[PriceList]) -> Json:
    """List prices, newest first; those made inline are left out."""
    asked = call.params
    found = await store.listed(
        call.tx,
        call.environment,
        cursor(asked),
        active=asked.active,
        created=asked.created,
        currency=asked.currency,
        lookup_keys=asked.lookup_keys,
        product=asked.product,
        recurring=asked.recurring.model_dump(exclude_none=True) if asked.recurring is not None else None,
        type=asked.type,
    )
    data = [render(row.load(Price, each)) for each in found.rows]
    return list_of(data, url=call.url, has_more=found.has_more)
