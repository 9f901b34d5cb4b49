"""`/v1/tax_rates`."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import (
    Bool,
    DecimalText,
    InstantFilter,
    ListParams,
    Metadata,
    Params,
    RetrieveParams,
    Text,
    merge_metadata,
)
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import snapshots
from meterline.catalog import TaxRate
from meterline.store import row
from meterline.store import tax_rate as store
from meterline.store.identifier import public
from meterline.usecase.change_tax_rate import change_tax_rate
from meterline.usecase.create_tax_rate import create_tax_rate

routes = Routes("tax_rates")

TaxType = Literal[
    "admissions_tax",
    "amusement_tax",
    "attendance_tax",
    "communications_tax",
    "digital_excise_tax",
    "entertainment_tax",
    "get_fund",
    "gross_receipts_tax",
    "gst",
    "hospitality_tax",
    "hst",
    "igst",
    "jct",
    "lease_tax",
    "luxury_tax",
    "mass_transit_parking_tax",
    "nhil",
    "parking_tax",
    "pst",
    "qst",
    "resort_tax",
    "retail_delivery_fee",
    "rst",
    "sales_tax",
    "service_tax",
    "tourism_tax",
    "utility_users_tax",
    "vat",
]


def _country(value: Any) -> str:
    text = str(value)
    if len(text) == 2 and text.isascii() and text.isalpha():
        return text.upper()
    raise PydanticCustomError(
        "country_code_invalid",
        "Country '{country}' is unknown. Try using a 2-character alphanumeric country code instead, such as 'US'.",
        {"country": text[:60]},
    )


Country = Annotated[str, BeforeValidator(_country)]
DisplayName = Annotated[Text, Field(max_length=50)]
Jurisdiction = Annotated[Text, Field(max_length=50)]
Subdivision = Annotated[Text, Field(max_length=3)]


class TaxRateCreate(Params):
    display_name: DisplayName
    inclusive: Bool
    percentage: DecimalText
    active: Bool = True
    country: Country | None = None
    description: Text | None = None
    jurisdiction: Jurisdiction | None = None
    metadata: Metadata = {}
    state: Subdivision | None = None
    tax_type: TaxType | None = None


class TaxRateUpdate(Params):
    active: Bool | None = None
    country: Country | None = None
    description: Text | None = None
    display_name: DisplayName | None = None
    jurisdiction: Jurisdiction | None = None
    metadata: Metadata = {}
    state: Subdivision | None = None
    tax_type: TaxType | None = None


class TaxRateList(ListParams):
    active: Bool | None = None
    created: InstantFilter | None = None
    inclusive: Bool | None = None


def render(rate: TaxRate) -> Json:
    """The tax rate object. A rate made by hand has no level of jurisdiction and no other rate behind it."""
    return {
        "id": rate.id,
        "object": "tax_rate",
        "active": rate.active,
        "country": rate.country,
        "created": unix(rate.created),
        "description": rate.description,
        "display_name": rate.display_name,
        "effective_percentage": None,
        "flat_amount": None,
        "inclusive": rate.inclusive,
        "jurisdiction": rate.jurisdiction,
        "jurisdiction_level": None,
        "livemode": rate.environment == "live",
        "metadata": dict(rate.metadata),
        "percentage": rate.percentage,
        "rate_type": "percentage",
        "state": rate.state,
        "tax_type": rate.tax_type,
    }


snapshots(TaxRate, render, url="/v1/tax_rates/{id}")


@routes.post("/v1/tax_rates", TaxRateCreate)
async def create(call: Call[TaxRateCreate]) -> Json:
    """Create a tax rate."""
    asked = call.params
    new = TaxRate(
        environment=call.environment,
        id=public("txr"),
        display_name=asked.display_name,
        percentage=asked.percentage,
        inclusive=asked.inclusive,
        active=asked.active,
        country=asked.country,
        description=asked.description,
        jurisdiction=asked.jurisdiction,
        state=asked.state,
        tax_type=asked.tax_type,
        metadata=merge_metadata({}, asked.metadata),
        created=call.now,
    )
    return render(await create_tax_rate(call.tx, new=new, now=call.now))


@routes.get("/v1/tax_rates/{tax_rate}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one tax rate."""
    return render(await store.get(call.tx, call.environment, call.path["tax_rate"]))


@routes.post("/v1/tax_rates/{tax_rate}", TaxRateUpdate)
async def change(call: Call[TaxRateUpdate]) -> Json:
    """Change a tax rate; what it takes never changes."""
    before = await store.get(call.tx, call.environment, call.path["tax_rate"], lock=True)
    asked = call.params
    plain = ("active", "country", "description", "display_name", "jurisdiction", "state", "tax_type")
    after = replace(
        before,
        **{name: getattr(asked, name) for name in plain if asked.sent(name)},
        metadata=merge_metadata(before.metadata, asked.metadata),
    )
    return render(await change_tax_rate(call.tx, before=before, after=after, now=call.now))


@routes.get("/v1/tax_rates", TaxRateList)
async def listed(call: Call[TaxRateList]) -> Json:
    """List tax rates, newest first."""
    asked = call.params
    page = await store.listed(
        call.tx,
        call.environment,
        cursor(asked),
        active=asked.active,
        inclusive=asked.inclusive,
        created=asked.created,
    )
    data = [render(row.load(TaxRate, each)) for each in page.rows]
    return list_of(data, url=call.url, has_more=page.has_more)
