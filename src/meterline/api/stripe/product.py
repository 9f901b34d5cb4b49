"""`/v1/products`."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import expandable, fetcher
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import (
    Bool,
    Currency,
    DecimalText,
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
from meterline.api.stripe.price_amount import Amount, AmountDecimal, CustomUnitAmount, TaxBehavior, either, flat_model
from meterline.api.stripe.price_currency import CurrencyOptions, options_of
from meterline.api.stripe.price_recurring import RecurringParams, recurring_of
from meterline.api.stripe.product_data import ProductId, StatementDescriptor, TaxCode, TaxDetails, UnitLabel
from meterline.api.stripe.route import Routes
from meterline.api.stripe.search import SearchParams, searchable
from meterline.api.stripe.snapshot import snapshots
from meterline.catalog import Price, Product
from meterline.refusal import Missing, Refusal
from meterline.store import product as store
from meterline.store import row
from meterline.store.identifier import public
from meterline.usecase.change_product import change_product, delete_product
from meterline.usecase.create_product import create_product

routes = Routes("products")

expandable("product", "default_price", kind="price")

Images = Annotated[List[Text], Field(max_length=8)]
Length = Annotated[DecimalText, Field(ge=0, le=1_000_000)]


class MarketingFeature(Hash):
    name: Annotated[Text, Field(max_length=80)]


MarketingFeatures = Annotated[List[MarketingFeature], Field(max_length=15)]


class PackageDimensions(Hash):
    height: Length
    length: Length
    weight: Length
    width: Length


class DefaultPriceData(Hash):
    currency: Currency
    currency_options: CurrencyOptions = {}
    custom_unit_amount: CustomUnitAmount | None = None
    metadata: Metadata = {}
    recurring: RecurringParams | None = None
    tax_behavior: TaxBehavior = "unspecified"
    unit_amount: Amount | None = None
    unit_amount_decimal: AmountDecimal | None = None


class ProductCreate(Params):
    name: Text
    active: Bool = True
    default_price_data: DefaultPriceData | None = None
    description: Text | None = None
    id: ProductId | None = None
    images: Images = []
    marketing_features: MarketingFeatures = []
    metadata: Metadata = {}
    package_dimensions: PackageDimensions | None = None
    shippable: Bool | None = None
    statement_descriptor: StatementDescriptor | None = None
    tax_code: TaxCode | None = None
    tax_details: TaxDetails | None = None
    type: Literal["good", "service"] = "service"
    unit_label: UnitLabel | None = None
    url: Text | None = None


class ProductUpdate(Params):
    active: Bool | None = None
    default_price: Unset[Text] = None
    description: Unset[Text] = None
    images: Images = []
    marketing_features: MarketingFeatures = []
    metadata: Metadata = {}
    name: Text | None = None
    package_dimensions: Unset[PackageDimensions] = None
    shippable: Bool | None = None
    statement_descriptor: Unset[StatementDescriptor] = None
    tax_code: Unset[TaxCode] = None
    tax_details: Unset[TaxDetails] = None
    unit_label: Unset[UnitLabel] = None
    url: Unset[Text] = None


class ProductList(ListParams):
    active: Bool | None = None
    created: InstantFilter | None = None
    ids: List[Text] | None = None
    shippable: Bool | None = None
    type: Literal["good", "service"] | None = None
    url: Text | None = None


def render(product: Product) -> Json:
    """The product object. `tax_details` is there only where it was given."""
    dimensions = product.extra.get("package_dimensions")
    rendered: Json = {
        "id": product.id,
        "object": "product",
        "active": product.active,
        "created": unix(product.created),
        "default_price": product.default_price,
        "description": product.description,
        "images": list(product.images),
        "livemode": product.environment == "live",
        "marketing_features": product.extra.get("marketing_features", []),
        "metadata": dict(product.metadata),
        "name": product.name,
        "package_dimensions": None,
        "shippable": product.shippable,
        "statement_descriptor": product.statement_descriptor,
        "tax_code": product.tax_code,
        "type": product.type,
        "unit_label": product.unit_label,
        "updated": unix(product.updated),
        "url": product.url,
    }
    if isinstance(dimensions, dict):
        rendered["package_dimensions"] = {name: Decimal(size) for name, size in dimensions.items()}
    if product.extra.get("tax_details") is not None:
        rendered["tax_details"] = product.extra["tax_details"]
    return rendered


snapshots(Product, render, url="/v1/products/{id}")


@fetcher("product")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}


@routes.post("/v1/products", ProductCreate)
async def create(call: Call[ProductCreate]) -> Json:
    """Create a product, with its default price if that is described too."""
    asked = call.params
    _check_goods(asked, asked.type)
    extra: dict[str, object] = {}
    for name in ("marketing_features", "package_dimensions", "tax_details"):
        if asked.sent(name):
            extra[name] = asked.model_dump(include={name})[name]
    new = Product(
        environment=call.environment,
        id=asked.id or public("prod"),
        name=asked.name,
        active=asked.active,
        description=asked.description,
        images=tuple(asked.images),
        metadata=merge_metadata({}, asked.metadata),
        shippable=asked.shippable,
        statement_descriptor=asked.statement_descriptor,
        tax_code=asked.tax_code or (asked.tax_details.tax_code if asked.tax_details is not None else None),
        type=asked.type,
        unit_label=asked.unit_label,
        url=asked.url,
        extra=extra,
        created=call.now,
        updated=call.now,
    )
    price = None if asked.default_price_data is None else _default_price(asked.default_price_data, new)
    return render(await create_product(call.tx, new=new, default_price=price, now=call.now))


def _check_goods(asked: ProductCreate | ProductUpdate, type: str) -> None:
    if type == "service" and asked.package_dimensions is not None:
        raise Refusal(
            "You can only specify `package_dimensions` for products of type `good`.", param="package_dimensions"
        )


def _default_price(asked: DefaultPriceData, product: Product) -> Price:
    at = "default_price_data"
    unit = either(asked.unit_amount, asked.unit_amount_decimal, "unit_amount", param=f"{at}[unit_amount]")
    model = flat_model(unit, asked.custom_unit_amount, at=at)
    return Price(
        environment=product.environment,
        id=public("price"),
        product=product.id,
        currency=asked.currency,
        model=model,
        recurring=recurring_of(asked.recurring, at=at),
        tax_behavior=asked.tax_behavior,
        currency_options=options_of(asked.currency_options, model, at=at),
        metadata=merge_metadata({}, asked.metadata),
        created=product.created,
    )


@routes.get("/v1/products/search", SearchParams)
async def search(call: Call[SearchParams]) -> Json:
    """Search products."""
    return await searchable(call, store.SEARCH, Product, render)


@routes.get("/v1/products/{id}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one product."""
    found = (await store.find(call.tx, call.environment, [call.path["id"]])).get(call.path["id"])
    if found is None:
        raise Missing("product", call.path["id"], param="id", subject=True)
    return render(found)


@routes.post("/v1/products/{id}", ProductUpdate)
async def change(call: Call[ProductUpdate]) -> Json:
    """Change a product."""
    before = await store.lock(call.tx, call.environment, call.path["id"])
    asked = call.params
    _check_goods(asked, before.type)
    plain = ("description", "default_price", "statement_descriptor", "tax_code", "unit_label", "url")
    after = replace(
        before,
        **{name: getattr(asked, name) for name in plain if asked.sent(name)},
        name=asked.name or before.name,
        active=before.active if asked.active is None else asked.active,
        shippable=before.shippable if asked.shippable is None else asked.shippable,
        images=tuple(asked.images) if asked.sent("images") else before.images,
        metadata=merge_metadata(before.metadata, asked.metadata),
        extra=_changed_extra(before, asked),
    )
    if after != before:
        after = replace(after, updated=call.now)
    return render(await change_product(call.tx, before=before, after=after, now=call.now))


def _changed_extra(before: Product, asked: ProductUpdate) -> dict[str, object]:
    extra = dict(before.extra)
    for name in ("marketing_features", "package_dimensions", "tax_details"):
        if asked.sent(name):
            extra[name] = row.document(asked.model_dump(include={name})[name])
    return {name: value for name, value in extra.items() if value is not None}


@routes.delete("/v1/products/{id}", Params)
async def delete(call: Call[Params]) -> Json:
    """Delete a product that was never priced."""
    gone = await delete_product(call.tx, environment=call.environment, id=call.path["id"], now=call.now)
    return {"id": gone.id, "object": "product", "deleted": True}


@routes.get("/v1/products", ProductList)
async def listed(call: Call[ProductList]) -> Json:
    """List products, newest first."""
    asked = call.params
    found = await store.listed(
        call.tx,
        call.environment,
        cursor(asked),
        active=asked.active,
        created=asked.created,
        ids=asked.ids,
        shippable=asked.shippable,
        type=asked.type,
        url=asked.url,
    )
    data = [render(row.load(Product, each)) for each in found.rows]
    return list_of(data, url=call.url, has_more=found.has_more)
