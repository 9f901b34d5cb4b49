"""`/v1/billing_portal/configurations`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api import link
from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import fetcher
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import Hash, Params, RetrieveParams, merge_metadata
from meterline.api.stripe.portal_configuration_params import (
    CancelParams,
    ConfigurationCreate,
    ConfigurationFields,
    ConfigurationList,
    ConfigurationUpdate,
    DetailsParams,
    FeaturesParams,
    ProductParams,
    UpdateParams,
)
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import snapshots
from meterline.customer.portal import (
    USUAL_REASONS,
    CancelFeature,
    DetailsFeature,
    Features,
    PortalConfiguration,
    Switchable,
    SwitchFeature,
)
from meterline.store import portal_configuration as store
from meterline.store import row
from meterline.store.identifier import public
from meterline.usecase.configure_portal import change_configuration, create_configuration

routes = Routes("billing_portal_configurations")


def render(configuration: PortalConfiguration) -> Json:
    """The configuration object."""
    return {
        "id": configuration.id,
        "object": "billing_portal.configuration",
        "active": configuration.active,
        "application": None,
        "business_profile": {
            "headline": configuration.headline,
            "privacy_policy_url": configuration.privacy_policy_url,
            "terms_of_service_url": configuration.terms_of_service_url,
        },
        "created": unix(configuration.created),
        "default_return_url": configuration.default_return_url,
        "features": _features(configuration.features),
        "is_default": configuration.is_default,
        "livemode": configuration.environment == "live",
        "login_page": {
            "enabled": configuration.login,
            "url": link.portal_login(configuration.environment, configuration.id) if configuration.login else None,
        },
        "metadata": dict(configuration.metadata),
        "name": configuration.name,
        "updated": unix(configuration.updated),
    }


def _features(features: Features) -> Json:
    cancel, switch = features.cancel, features.switch
    return {
        "customer_update": {
            "allowed_updates": list(features.details.allowed),
            "enabled": features.details.enabled,
        },
        "invoice_history": {"enabled": features.invoices},
        "payment_method_update": {"enabled": features.cards, "payment_method_configuration": None},
        "subscription_cancel": {
            "cancellation_reason": {
                "enabled": cancel.asks_reason,
                "feedback_options": None,
                "options": list(cancel.reasons),
            },
            "enabled": cancel.enabled,
            "mode": cancel.mode,
            "proration_behavior": cancel.proration_behavior,
        },
        "subscription_pause": {
            "duration": {"interval_options": [{"interval": "month", "interval_count": 1}], "type": "interval_options"},
            "enabled": False,
        },
        "subscription_update": {
            "billing_cycle_anchor": switch.billing_cycle_anchor,
            "default_allowed_updates": list(switch.allowed),
            "enabled": switch.enabled,
            "products": [_product(each) for each in switch.products],
            "proration_behavior": switch.proration_behavior,
            "schedule_at_period_end": {"conditions": []},
            "trial_update_behavior": switch.trial_update_behavior,
        },
    }


def _product(offered: Switchable) -> Json:
    return {
        "adjustable_quantity": {
            "enabled": offered.adjustable,
            "maximum": offered.maximum,
            "minimum": offered.minimum,
        },
        "prices": list(offered.prices),
        "product": offered.product,
    }


snapshots(PortalConfiguration, render, url="/v1/billing_portal/configurations/{id}")


@fetcher("billing_portal.configuration")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}


@routes.post("/v1/billing_portal/configurations", ConfigurationCreate)
async def create(call: Call[ConfigurationCreate]) -> Json:
    """Say what a portal offers."""
    asked = call.params
    bare = PortalConfiguration(
        environment=call.environment,
        id=public("bpc"),
        created=call.now,
        updated=call.now,
        features=Features(),
    )
    new = replace(_said(bare, asked), features=_changed(Features(), asked.features))
    return render(await create_configuration(call.tx, new, now=call.now))


@routes.get("/v1/billing_portal/configurations/{configuration}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one configuration."""
    return render(await store.get(call.tx, call.environment, call.path["configuration"]))


@routes.post("/v1/billing_portal/configurations/{configuration}", ConfigurationUpdate)
async def change(call: Call[ConfigurationUpdate]) -> Json:
    """Change a configuration; open portals follow at once."""
    asked = call.params
    before = await store.get(call.tx, call.environment, call.path["configuration"], lock=True)
    after = _said(before, asked)
    if asked.features is not None:
        after = replace(after, features=_changed(before.features, asked.features))
    if asked.active is not None:
        after = replace(after, active=asked.active)
    if after != before:
        after = replace(after, updated=call.now)
    return render(await change_configuration(call.tx, before=before, after=after, now=call.now))


@routes.get("/v1/billing_portal/configurations", ConfigurationList)
async def listed(call: Call[ConfigurationList]) -> Json:
    """List configurations, newest first."""
    asked = call.params
    page = await store.listed(
        call.tx, call.environment, cursor(asked), active=asked.active, is_default=asked.is_default
    )
    data = [render(row.load(PortalConfiguration, each)) for each in page.rows]
    return list_of(data, url=call.url, has_more=page.has_more)


def _said(before: PortalConfiguration, asked: ConfigurationFields) -> PortalConfiguration:
    """The configuration with what was sent, features aside; what was not sent stays."""
    changes: dict[str, Any] = {
        **_sent(asked, default_return_url="default_return_url", name="name"),
        "metadata": merge_metadata(dict(before.metadata), asked.metadata),
    }
    if asked.business_profile is not None:
        names = ("headline", "privacy_policy_url", "terms_of_service_url")
        changes |= _sent(asked.business_profile, **{name: name for name in names})
    if asked.login_page is not None:
        changes["login"] = asked.login_page.enabled
    return replace(before, **changes)


def _sent(asked: Params | Hash, **names: str) -> dict[str, Any]:
    """What was sent of these members, by the name of the field that each is for."""
    return {field: getattr(asked, name) for name, field in names.items() if asked.sent(name)}


def _changed(before: Features, asked: FeaturesParams) -> Features:
    changes: dict[str, Any] = {}
    if asked.customer_update is not None:
        changes["details"] = _details(before.details, asked.customer_update)
    if asked.invoice_history is not None and asked.invoice_history.sent("enabled"):
        changes["invoices"] = asked.invoice_history.enabled
    if asked.payment_method_update is not None and asked.payment_method_update.sent("enabled"):
        changes["cards"] = asked.payment_method_update.enabled
    if asked.subscription_cancel is not None:
        changes["cancel"] = _cancel(before.cancel, asked.subscription_cancel)
    if asked.subscription_update is not None:
        changes["switch"] = _switch(before.switch, asked.subscription_update)
    return replace(before, **changes)


def _details(before: DetailsFeature, asked: DetailsParams) -> DetailsFeature:
    changes = _sent(asked, enabled="enabled")
    if asked.sent("allowed_updates"):
        changes["allowed"] = tuple(dict.fromkeys(asked.allowed_updates))
    return replace(before, **changes)


def _cancel(before: CancelFeature, asked: CancelParams) -> CancelFeature:
    changes = _sent(asked, enabled="enabled", mode="mode", proration_behavior="proration_behavior")
    if asked.mode == "at_period_end" and asked.sent("mode") and not asked.sent("proration_behavior"):
        changes["proration_behavior"] = "none"
    reason = asked.cancellation_reason
    if reason is not None:
        changes |= _sent(reason, enabled="asks_reason")
        if reason.sent("options"):
            changes["reasons"] = tuple(dict.fromkeys(reason.options)) or USUAL_REASONS
    return replace(before, **changes)


def _switch(before: SwitchFeature, asked: UpdateParams) -> SwitchFeature:
    names = ("billing_cycle_anchor", "enabled", "proration_behavior", "trial_update_behavior")
    changes = _sent(asked, **{name: name for name in names})
    if asked.sent("default_allowed_updates"):
        changes["allowed"] = tuple(dict.fromkeys(asked.default_allowed_updates))
    if asked.sent("products"):
        changes["products"] = tuple(_switchable(each) for each in asked.products)
    return replace(before, **changes)


def _switchable(asked: ProductParams) -> Switchable:
    quantity = asked.adjustable_quantity
    return Switchable(
        product=asked.product,
        prices=tuple(dict.fromkeys(asked.prices)),
        adjustable=quantity is not None and quantity.enabled,
        minimum=0 if quantity is None else quantity.minimum,
        maximum=None if quantity is None else quantity.maximum,
    )
