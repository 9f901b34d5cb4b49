"""`/v1/billing_portal/sessions`."""

from typing import Annotated, Literal

from pydantic import Field

from meterline.api import link
from meterline.api.stripe.call import Call
from meterline.api.stripe.expand import expandable
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.neutral import NoAccount, Off
from meterline.api.stripe.params import Hash, Instant, Int, List, Params, Text
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import snapshots
from meterline.customer.portal import AfterFlow, Flow, FlowItem, FlowType, PortalSession, Recovery
from meterline.refusal import Refusal
from meterline.store import customer as customers
from meterline.store import portal_configuration as configurations
from meterline.usecase.configure_portal import default_configuration
from meterline.usecase.open_portal import AskedPortal, open_portal

routes = Routes("billing_portal_sessions")

expandable("billing_portal.session", "configuration", kind="billing_portal.configuration")

Locale = Literal[
    "auto", "bg", "cs", "da", "de", "el", "en", "en-AU", "en-CA", "en-GB", "en-IE", "en-IN", "en-NZ", "en-SG", "es",
    "es-419", "et", "fi", "fil", "fr", "fr-CA", "hr", "hu", "id", "it", "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl",
    "pl", "pt", "pt-BR", "ro", "ru", "sk", "sl", "sv", "th", "tr", "vi", "zh", "zh-HK", "zh-TW",
]  # fmt: skip


class HostedConfirmationParams(Hash):
    custom_message: Annotated[Text, Field(max_length=500)] | None = None


class RedirectParams(Hash):
    return_url: Text


class AfterParams(Hash):
    hosted_confirmation: HostedConfirmationParams | None = None
    redirect: RedirectParams | None = None
    type: Literal["hosted_confirmation", "portal_homepage", "redirect"]


class CancelFlowParams(Hash):
    retention: Off = None
    subscription: Text


class UpdateFlowParams(Hash):
    subscription: Text


class FlowItemParams(Hash):
    id: Text
    price: Text | None = None
    quantity: Annotated[Int, Field(ge=0, le=999_999)] | None = None


class ConfirmFlowParams(Hash):
    discounts: Off = None
    items: Annotated[List[FlowItemParams], Field(min_length=1, max_length=1)]
    subscription: Text


class FlowParams(Hash):
    after_completion: AfterParams | None = None
    subscription_cancel: CancelFlowParams | None = None
    subscription_pause: Off = None
    subscription_update: UpdateFlowParams | None = None
    subscription_update_confirm: ConfirmFlowParams | None = None
    type: FlowType


class LoginParams(Hash):
    expires_at: Instant | None = None


class AfterExpirationParams(Hash):
    customer_login: LoginParams | None = None
    type: Literal["customer_login"]


class SessionCreate(Params):
    after_expiration: AfterExpirationParams | None = None
    configuration: Text | None = None
    customer: Text | None = None
    customer_account: NoAccount = None
    flow_data: FlowParams | None = None
    locale: Locale | None = None
    on_behalf_of: NoAccount = None
    return_url: Text | None = None


def render(session: PortalSession, *, secret: str | None = None) -> Json:
    """The session object. Its `url` opens the portal only in the answer to the call that made it."""
    recovery = session.recovery
    return {
        "id": session.id,
        "object": "billing_portal.session",
        "after_expiration": None
        if recovery is None
        else {
            "customer_login": {"expires_at": None if recovery.until is None else unix(recovery.until)},
            "type": "customer_login",
        },
        "configuration": session.configuration,
        "created": unix(session.created),
        "customer": session.customer,
        "customer_account": None,
        "flow": None if session.flow is None else _flow(session.flow),
        "livemode": session.environment == "live",
        "locale": session.locale,
        "on_behalf_of": None,
        "return_url": session.return_url,
        "url": link.portal(session.environment, session.id, secret),
    }


def _flow(flow: Flow) -> Json:
    after = flow.after
    about = {"subscription": flow.subscription}
    body: Json = {
        "after_completion": {
            "hosted_confirmation": {"custom_message": after.message} if after.type == "hosted_confirmation" else None,
            "redirect": {"return_url": after.return_url} if after.type == "redirect" else None,
            "type": after.type,
        },
        "customer_update": {} if flow.type == "customer_update" else None,
        "subscription_cancel": about | {"retention": None} if flow.type == "subscription_cancel" else None,
        "subscription_pause": None,
        "subscription_update": about if flow.type == "subscription_update" else None,
        "subscription_update_confirm": None,
        "type": flow.type,
    }
    if flow.type == "subscription_update_confirm":
        items = [{"id": each.id, "price": each.price, "quantity": each.quantity} for each in flow.items]
        body["subscription_update_confirm"] = about | {"discounts": None, "items": items}
    return body


snapshots(PortalSession, render, url=None)


@routes.post("/v1/billing_portal/sessions", SessionCreate)
async def create(call: Call[SessionCreate]) -> Json:
    """Give a customer a way into the portal: `url` opens it for ten minutes."""
    asked = call.params
    if asked.customer is None:
        raise Refusal("Missing required param: customer.", code="parameter_missing", param="customer")
    customer = await customers.get(call.tx, call.environment, asked.customer)
    if asked.configuration is None:
        configuration = await default_configuration(call.tx, call.environment, now=call.now)
    else:
        configuration = await configurations.get(call.tx, call.environment, asked.configuration)
    expiration = asked.after_expiration
    opened = await open_portal(
        call.tx,
        customer=customer,
        configuration=configuration,
        asked=AskedPortal(
            return_url=asked.return_url,
            locale=asked.locale,
            flow=None if asked.flow_data is None else _asked_flow(asked.flow_data),
            recovery=None if expiration is None else _recovery(expiration),
        ),
        now=call.now,
    )
    return render(opened.session, secret=opened.secret)


def _recovery(asked: AfterExpirationParams) -> Recovery:
    return Recovery(until=None if asked.customer_login is None else asked.customer_login.expires_at)


def _asked_flow(asked: FlowParams) -> Flow:
    members = {
        "subscription_cancel": asked.subscription_cancel,
        "subscription_update": asked.subscription_update,
        "subscription_update_confirm": asked.subscription_update_confirm,
    }
    about = members.get(asked.type)
    if asked.type in members and about is None:
        path = f"flow_data[{asked.type}]"
        raise Refusal(f"Missing required param: {path}.", code="parameter_missing", param=path)
    for name, member in members.items():
        if member is not None and name != asked.type:
            raise Refusal(f"`{name}` belongs to flows of that type only.", param=f"flow_data[{name}]")
    items = about.items if isinstance(about, ConfirmFlowParams) else []
    return Flow(
        type=asked.type,
        subscription=None if about is None else about.subscription,
        items=tuple(FlowItem(id=each.id, price=each.price, quantity=each.quantity) for each in items),
        after=AfterFlow() if asked.after_completion is None else _after(asked.after_completion),
    )


def _after(asked: AfterParams) -> AfterFlow:
    if asked.type == "redirect" and asked.redirect is None:
        path = "flow_data[after_completion][redirect]"
        raise Refusal(f"Missing required param: {path}.", code="parameter_missing", param=path)
    said = asked.hosted_confirmation
    return AfterFlow(
        type=asked.type,
        message=said.custom_message if asked.type == "hosted_confirmation" and said is not None else None,
        return_url=asked.redirect.return_url if asked.type == "redirect" and asked.redirect is not None else None,
    )
