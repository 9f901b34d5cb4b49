"""`/v1/setup_intents`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api import link
from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import expandable, fetcher
from meterline.api.stripe.given_method import given_method
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import (
    Bool,
    InstantFilter,
    ListParams,
    Metadata,
    Params,
    RetrieveParams,
    Text,
    Unset,
    merge_metadata,
)
from meterline.api.stripe.payment_intent_params import AutomaticMethods, Description, Future, MethodChoice
from meterline.api.stripe.payment_method import render as render_method
from meterline.api.stripe.refused_card import told_refusal
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import snapshots
from meterline.customer import Customer
from meterline.payment.setup import Setup
from meterline.refusal import Declined, Refusal
from meterline.store import customer as customers
from meterline.store import row
from meterline.store import setup_intent as store
from meterline.store.identifier import public, uuid7
from meterline.usecase.moment import moment
from meterline.usecase.set_up_method import SetUp, cancel_setup, change_setup, confirm_setup, request_setup

routes = Routes("setup_intents")

expandable("setup_intent", "customer", kind="customer")
expandable("setup_intent", "payment_method", kind="payment_method")


class SetupCreate(MethodChoice):
    automatic_payment_methods: AutomaticMethods | None = None
    confirm: Bool = False
    customer: Text | None = None
    description: Description | None = None
    metadata: Metadata = {}
    payment_method: Text | None = None
    return_url: Text | None = None
    usage: Future = "off_session"
    use_stripe_sdk: Bool = False


class SetupUpdate(MethodChoice):
    description: Unset[Description] = None
    metadata: Metadata = {}
    payment_method: Unset[Text] = None


class SetupConfirm(MethodChoice):
    payment_method: Text | None = None
    return_url: Text | None = None
    use_stripe_sdk: Bool = False


class SetupCancel(Params):
    cancellation_reason: Literal["abandoned", "duplicate", "requested_by_customer"] | None = None


class SetupList(ListParams):
    created: InstantFilter | None = None
    customer: Text | None = None
    payment_method: Text | None = None


def render(setup: Setup) -> Json:
    """The setup intent object."""
    return {
        "id": setup.id,
        "object": "setup_intent",
        "application": None,
        "allowed_payment_method_types": ["card"],
        "automatic_payment_methods": None,
        "cancellation_reason": setup.cancellation_reason,
        "client_secret": setup.client_secret,
        "created": unix(setup.created),
        "customer": setup.customer,
        "customer_account": None,
        "description": setup.description,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": setup.last_refusal and told_refusal(setup.last_refusal, setup.refused_method),
        "latest_attempt": None,
        "livemode": setup.environment == "live",
        "mandate": None,
        "metadata": dict(setup.metadata),
        "next_action": _next_action(setup),
        "on_behalf_of": None,
        "payment_method": setup.payment_method,
        "payment_method_configuration_details": None,
        "payment_method_options": None,
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": setup.status,
        "usage": setup.usage,
    }


def _next_action(setup: Setup) -> Json | None:
    if setup.status != "requires_action":
        return None
    page = link.hosted("authentication", setup.environment, setup.id, secret=setup.client_secret)
    return {"redirect_to_url": {"return_url": setup.return_url, "url": page}, "type": "redirect_to_url"}


snapshots(Setup, render, url="/v1/setup_intents/{id}")


@fetcher("setup_intent")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}


@routes.post("/v1/setup_intents", SetupCreate)
async def create(call: Call[SetupCreate]) -> Json | Refusal:
    """Ask for a card to be saved, and with `confirm` save it at once."""
    asked = call.params
    owner = None
    if asked.customer is not None:
        owner = await customers.get(call.tx, call.environment, asked.customer)
    now = await _now(call, owner)
    id = public("seti")
    new = Setup(
        environment=call.environment,
        customer_id=uuid7() if owner is None else owner.customer_id,
        id=id,
        customer=None if owner is None else owner.id,
        status="requires_payment_method",
        client_secret=f"{id}_{public('secret')}",
        created=now,
        usage=asked.usage,
        payment_method=await given_method(call, asked.payment_method, asked.payment_method_data),
        description=asked.description,
        return_url=asked.return_url,
        metadata=merge_metadata({}, asked.metadata),
    )
    setup = await request_setup(call.tx, new, now=now)
    if not asked.confirm:
        return render(setup)
    return _answer(await confirm_setup(call.tx, setup, method=None, now=now))


def _answer(done: SetUp) -> Json | Refusal:
    """The setup intent; or the refusal of the card, with what was recorded of it."""
    if done.refused is None:
        return render(done.setup)
    refused = done.refused
    about: dict[str, object] = {"setup_intent": render(done.setup)}
    if done.setup.refused_method is not None:
        about["payment_method"] = render_method(done.setup.refused_method)
    return Declined(refused.message, code=refused.code, decline_code=refused.decline_code, about=about)


@routes.get("/v1/setup_intents/{intent}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one setup intent."""
    return render(await store.get(call.tx, call.environment, call.path["intent"]))


@routes.post("/v1/setup_intents/{intent}", SetupUpdate)
async def change(call: Call[SetupUpdate]) -> Json:
    """Change a setup intent."""
    asked = call.params
    seen, now = await _seen(call)
    changes: dict[str, object] = {
        name: getattr(asked, name) for name in ("description", "payment_method") if asked.sent(name)
    }
    if asked.payment_method_data is not None:
        changes["payment_method"] = await given_method(call, asked.payment_method, asked.payment_method_data)
    if asked.sent("metadata"):
        changes["metadata"] = merge_metadata(dict(seen.metadata), asked.metadata)
    return render(await change_setup(call.tx, seen, changes, now=now))


@routes.post("/v1/setup_intents/{intent}/confirm", SetupConfirm)
async def confirm(call: Call[SetupConfirm]) -> Json | Refusal:
    """Save the card."""
    asked = call.params
    seen, now = await _seen(call)
    if asked.return_url is not None:
        seen = await change_setup(call.tx, seen, {"return_url": asked.return_url}, now=now)
    method = await given_method(call, asked.payment_method, asked.payment_method_data)
    return _answer(await confirm_setup(call.tx, seen, method=method, now=now))


@routes.post("/v1/setup_intents/{intent}/cancel", SetupCancel)
async def cancel(call: Call[SetupCancel]) -> Json:
    """Call a setup intent off."""
    seen, now = await _seen(call)
    return render(await cancel_setup(call.tx, seen, reason=call.params.cancellation_reason, now=now))


@routes.get("/v1/setup_intents", SetupList)
async def listed(call: Call[SetupList]) -> Json:
    """List setup intents, newest first."""
    asked = call.params
    owner = None
    if asked.customer is not None:
        owner = (await customers.get(call.tx, call.environment, asked.customer)).customer_id
    page = await store.listed(
        call.tx,
        call.environment,
        cursor(asked),
        customer_id=owner,
        method=asked.payment_method,
        created=asked.created,
    )
    data = [render(row.load(Setup, each)) for each in page.rows]
    return list_of(data, url=call.url, has_more=page.has_more)


async def _seen(call: Call[Any]) -> tuple[Setup, datetime]:
    """The setup intent that the call is about, and what time it is for its customer."""
    seen = await store.get(call.tx, call.environment, call.path["intent"])
    owner = (await customers.find_all(call.tx, [seen.customer_id])).get(seen.customer_id)
    return seen, await _now(call, owner)


async def _now(call: Call[Any], owner: Customer | None) -> datetime:
    clock = None if owner is None else owner.test_clock
    return await moment(call.tx, environment=call.environment, test_clock=clock, now=call.now)
