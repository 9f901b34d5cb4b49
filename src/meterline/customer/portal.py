"""The portal: what a seller lets customers do by themselves, and the sessions that let one customer in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit
from uuid import UUID

from meterline.refusal import Refusal

LINK_LIFETIME = timedelta(minutes=10)
"""How long the link of a session opens the portal, in the customer's time."""

IDLE = timedelta(hours=1)
"""How long a portal stays open after the customer last asked for a page, wall clock."""

KEPT = timedelta(days=30)
"""How long a session is remembered, so that an old link can say where to go instead."""

CustomerField = Literal["address", "email", "name", "phone", "shipping"]
CancellationFeedback = Literal[
    "customer_service",
    "low_quality",
    "missing_features",
    "other",
    "switched_service",
    "too_complex",
    "too_expensive",
    "unused",
]
FlowType = Literal[
    "customer_update",
    "payment_method_update",
    "subscription_cancel",
    "subscription_update",
    "subscription_update_confirm",
]

USUAL_REASONS: tuple[CancellationFeedback, ...] = (
    "too_expensive",
    "missing_features",
    "switched_service",
    "unused",
    "other",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailsFeature:
    """Whether customers may change their details, and which."""

    enabled: bool = False
    allowed: tuple[CustomerField, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelFeature:
    """Whether and how customers may end their subscriptions; prorations are for ends at once."""

    enabled: bool = False
    mode: Literal["at_period_end", "immediately"] = "at_period_end"
    proration_behavior: Literal["create_prorations", "none"] = "none"
    asks_reason: bool = False
    reasons: tuple[CancellationFeedback, ...] = USUAL_REASONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Switchable:
    """A product whose subscribers may move between these prices, and choose a quantity within bounds."""

    product: str
    prices: tuple[str, ...]
    adjustable: bool = False
    minimum: int = 0
    maximum: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchFeature:
    """Whether and how customers may change what they are subscribed to."""

    enabled: bool = False
    allowed: tuple[Literal["price", "quantity"], ...] = ()
    products: tuple[Switchable, ...] = ()
    proration_behavior: Literal["always_invoice", "create_prorations", "none"] = "none"
    billing_cycle_anchor: Literal["now", "unchanged"] | None = None
    trial_update_behavior: Literal["continue_trial", "end_trial"] = "end_trial"

    def of(self, product: str) -> Switchable | None:
        """What may be chosen for that product."""
        return next((each for each in self.products if each.product == product), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What customers may see and do. Whoever has a wallet may always fund it and limit what it spends."""

    details: DetailsFeature = DetailsFeature()
    invoices: bool = False
    cards: bool = False
    cancel: CancelFeature = CancelFeature()
    switch: SwitchFeature = SwitchFeature()


EVERYTHING_SAFE = Features(
    details=DetailsFeature(enabled=True, allowed=("address", "email", "name", "phone")),
    invoices=True,
    cards=True,
    cancel=CancelFeature(enabled=True),
)
"""What the configuration allows that an environment has until the seller says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalConfiguration:
    """What a portal offers and says. The default one serves sessions that name none; instants are UTC.

    `login` opens a page that mails a customer a link to their own portal.
    """

    environment: str
    id: str
    created: datetime
    updated: datetime
    features: Features
    active: bool = True
    is_default: bool = False
    name: str | None = None
    headline: str | None = None
    privacy_policy_url: str | None = None
    terms_of_service_url: str | None = None
    default_return_url: str | None = None
    login: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowItem:
    """What an item of a subscription is to become; null leaves it as it is."""

    id: str
    price: str | None = None
    quantity: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterFlow:
    """Where the customer goes once a flow is done."""

    type: Literal["hosted_confirmation", "portal_homepage", "redirect"] = "portal_homepage"
    message: str | None = None
    return_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One thing that a session is for, instead of the whole portal."""

    type: FlowType
    subscription: str | None = None
    items: tuple[FlowItem, ...] = ()
    after: AfterFlow = AfterFlow()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """An expired session may mail its customer a new link, until an instant (null: as long as it is remembered)."""

    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalSession:
    """One customer's way into the portal (`bps_…`). What opens it is kept as a digest only, apart from this.

    `created` and `link_expires_at` are the customer's time. `failure_url` is where somebody is sent whose link
    does not open any more.
    """

    environment: str
    customer_id: UUID
    id: str
    customer: str
    configuration: str
    created: datetime
    link_expires_at: datetime
    return_url: str | None = None
    failure_url: str | None = None
    locale: str | None = None
    flow: Flow | None = None
    recovery: Recovery | None = None


def is_link(url: str) -> bool:
    """Whether a page may link to the address: only http and https lead to pages."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return bool(host) and parts.scheme in ("http", "https")


def check_link(url: str, *, param: str) -> None:
    """Refuse an address that a page should not link to."""
    if not is_link(url):
        raise Refusal("Not a valid URL", code="url_invalid", param=param)


def require_usable(configuration: PortalConfiguration) -> None:
    """Refuse a configuration that was switched off."""
    if not configuration.active:
        raise Refusal(
            f"The portal configuration {configuration.id} is inactive and cannot be used to create sessions.",
            param="configuration",
        )


_FLOWS: Mapping[FlowType, str] = {
    "customer_update": "customer update",
    "payment_method_update": "payment method update",
    "subscription_cancel": "subscription cancellation",
    "subscription_update": "subscription update",
    "subscription_update_confirm": "subscription update",
}


def offers(features: Features, type: FlowType) -> bool:
    """Whether a portal with these features has that flow."""
    match type:
        case "customer_update":
            return features.details.enabled
        case "payment_method_update":
            return features.cards
        case "subscription_cancel":
            return features.cancel.enabled
        case "subscription_update" | "subscription_update_confirm":
            return features.switch.enabled


def require_offered(features: Features, type: FlowType) -> None:
    """Refuse what the configuration does not let customers do."""
    if not offers(features, type):
        raise Refusal(
            f"The {_FLOWS[type]} feature in the portal configuration is disabled.", code="portal_feature_disabled"
        )


def check_configuration(changed: PortalConfiguration) -> None:
    """Refuse a configuration that contradicts itself."""
    features = changed.features
    if features.details.enabled and not features.details.allowed:
        raise Refusal(
            "You must allow at least one kind of update for `customer_update` to be enabled.",
            param="features[customer_update][allowed_updates]",
        )
    if features.cancel.mode == "at_period_end" and features.cancel.proration_behavior != "none":
        raise Refusal(
            "Prorations are only created when subscriptions are canceled immediately.",
            param="features[subscription_cancel][proration_behavior]",
        )
    if features.switch.enabled:
        _check_switch(features.switch)
    if changed.is_default and not changed.active:
        raise Refusal("The default configuration cannot be deactivated.", param="active")


def _check_switch(switch: SwitchFeature) -> None:
    at = "features[subscription_update]"
    if not switch.allowed:
        raise Refusal(
            "Enabling `subscription_update` requires allowed updates.", param=f"{at}[default_allowed_updates]"
        )
    if not switch.products:
        raise Refusal("Enabling `subscription_update` requires products.", param=f"{at}[products]")
    for place, each in enumerate(switch.products):
        if each.maximum is not None and each.maximum < each.minimum:
            raise Refusal(
                "The maximum quantity is below the minimum.",
                param=f"{at}[products][{place}][adjustable_quantity][maximum]",
            )
