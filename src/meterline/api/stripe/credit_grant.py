"""`/v1/billing/credit_grants`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import expandable, fetcher
from meterline.api.stripe.json import Json, unix, unix_or_none
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import (
    Currency,
    Hash,
    Instant,
    Int,
    List,
    ListParams,
    Metadata,
    Params,
    RetrieveParams,
    Text,
    Unset,
    merge_metadata,
)
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import snapshots
from meterline.invoice.credit import DEFAULT_PRIORITY, MOST_PRICES, Category, CreditGrant
from meterline.invoice.item import MOST
from meterline.refusal import Refusal
from meterline.store import credit as store
from meterline.store import customer as customers
from meterline.store import row
from meterline.store.identifier import public
from meterline.usecase.grant_credits import change_grant, expire_grant, grant_credits, void_grant
from meterline.usecase.moment import moment

routes = Routes("credit_grants")

expandable("billing.credit_grant", "customer", kind="customer")
expandable("billing.credit_grant", "test_clock", kind="test_helpers.test_clock")


class Monetary(Hash):
    currency: Currency
    value: Annotated[Int, Field(gt=0, le=MOST)]


class Amount(Hash):
    type: Literal["monetary"]
    monetary: Monetary | None = None


class PriceId(Hash):
    id: Text


class Scope(Hash):
    price_type: Literal["metered"] | None = None
    prices: Annotated[List[PriceId], Field(max_length=MOST_PRICES)] | None = None


class Applicability(Hash):
    scope: Scope


class GrantCreate(Params):
    amount: Amount
    applicability_config: Applicability
    category: Category = "paid"
    customer: Text
    effective_at: Instant | None = None
    expires_at: Instant | None = None
    metadata: Metadata = {}
    name: Annotated[Text, Field(max_length=100)] | None = None
    priority: Annotated[Int, Field(ge=0, le=100)] = DEFAULT_PRIORITY


class GrantUpdate(Params):
    expires_at: Unset[Instant] = None
    metadata: Metadata = {}


class GrantList(ListParams):
    customer: Text | None = None


def render(grant: CreditGrant) -> Json:
    """The credit grant object."""
    scope: Json = {"price_type": "metered"}
    if grant.prices is not None:
        scope = {"prices": [{"id": price} for price in grant.prices]}
    return {
        "id": grant.id,
        "object": "billing.credit_grant",
        "amount": monetary(grant.value, grant.currency),
        "applicability_config": {"scope": {"price_type": None, "prices": None} | scope},
        "category": grant.category,
        "created": unix(grant.created),
        "customer": grant.customer,
        "customer_account": None,
        "effective_at": unix(grant.effective_at),
        "expires_at": unix_or_none(grant.expires_at),
        "livemode": grant.environment == "live",
        "metadata": dict(grant.metadata),
        "name": grant.name,
        "priority": grant.priority,
        "test_clock": grant.test_clock,
        "updated": unix(grant.updated),
        "voided_at": unix_or_none(grant.voided_at),
    }


def monetary(value: int, currency: str) -> Json:
    """An amount as billing credits show it."""
    return {"monetary": {"currency": currency, "value": value}, "type": "monetary"}


snapshots(CreditGrant, render, url="/v1/billing/credit_grants/{id}")


@fetcher("billing.credit_grant", resource="credit_grants")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}


@routes.post("/v1/billing/credit_grants", GrantCreate)
async def create(call: Call[GrantCreate]) -> Json:
    """Give a customer billing credits."""
    asked = call.params
    amount = asked.amount.monetary
    if amount is None:
        raise Refusal("Missing required param: amount[monetary].", code="parameter_missing", param="amount[monetary]")
    customer = await customers.get(call.tx, call.environment, asked.customer)
    now = await moment(call.tx, environment=call.environment, test_clock=customer.test_clock, now=call.now)
    grant = CreditGrant(
        environment=call.environment,
        customer_id=customer.customer_id,
        id=public("credgr"),
        customer=customer.id,
        test_clock=customer.test_clock,
        created=now,
        updated=now,
        currency=amount.currency,
        value=amount.value,
        remaining=amount.value,
        category=asked.category,
        priority=asked.priority,
        effective_at=asked.effective_at or now,
        expires_at=asked.expires_at,
        prices=prices_of(asked.applicability_config.scope, at="applicability_config[scope]"),
        name=asked.name,
        metadata=merge_metadata({}, asked.metadata),
    )
    return render(await grant_credits(call.tx, grant, now=now))


def prices_of(scope: Scope, *, at: str) -> tuple[str, ...] | None:
    """The prices that a scope names, null for every metered price. Refuses both ways at once, and neither."""
    if (scope.price_type is None) == (not scope.prices):
        raise Refusal(f"You must pass exactly one of `{at}[price_type]` and `{at}[prices]`.", param=at)
    return tuple(dict.fromkeys(price.id for price in scope.prices)) if scope.prices else None


@routes.get("/v1/billing/credit_grants/{id}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one credit grant."""
    return render(await store.get(call.tx, call.environment, call.path["id"]))


@routes.post("/v1/billing/credit_grants/{id}", GrantUpdate)
async def change(call: Call[GrantUpdate]) -> Json:
    """Change a grant's end or its metadata."""
    asked = call.params
    grant, now = await _seen(call.tx, call)
    changed = await change_grant(
        call.tx,
        grant,
        expires_at=asked.expires_at if asked.sent("expires_at") else grant.expires_at,
        metadata=merge_metadata(dict(grant.metadata), asked.metadata),
        now=now,
    )
    return render(changed)


@routes.post("/v1/billing/credit_grants/{id}/expire", Params)
async def expire(call: Call[Params]) -> Json:
    """End a grant now."""
    grant, now = await _seen(call.tx, call)
    return render(await expire_grant(call.tx, grant, now=now))


@routes.post("/v1/billing/credit_grants/{id}/void", Params)
async def void(call: Call[Params]) -> Json:
    """Take back a grant that was never used."""
    grant, now = await _seen(call.tx, call)
    return render(await void_grant(call.tx, grant, now=now))


@routes.get("/v1/billing/credit_grants", GrantList)
async def listed(call: Call[GrantList]) -> Json:
    """List credit grants, newest first."""
    asked = call.params
    owner = None
    if asked.customer is not None:
        owner = (await customers.get(call.tx, call.environment, asked.customer)).customer_id
    page = await store.listed(call.tx, call.environment, cursor(asked), customer_id=owner)
    data = [render(row.load(CreditGrant, each)) for each in page.rows]
    return list_of(data, url=call.url, has_more=page.has_more)


async def _seen(tx: AsyncConnection, call: Call[Params] | Call[GrantUpdate]) -> tuple[CreditGrant, datetime]:
    """The grant that the call is about, and what time it is for its customer."""
    grant = await store.get(tx, call.environment, call.path["id"])
    now = await moment(tx, environment=call.environment, test_clock=grant.test_clock, now=call.now)
    return grant, now
