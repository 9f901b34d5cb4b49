"""What customers may do with their own subscriptions, given what the seller's portal allows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from meterline.catalog import Price
from meterline.customer.portal import Features, FlowItem, Switchable
from meterline.refusal import Refusal
from meterline.subscription.model import Subscription, SubscriptionItem

Prices = Mapping[str, Price]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a subscription may become: its one item at one of `prices` (the present one first), in a quantity
    within bounds; null bounds mean that the quantity stays."""

    item: SubscriptionItem
    prices: tuple[Price, ...]
    minimum: int | None
    maximum: int | None


def can_end(subscription: Subscription, features: Features) -> bool:
    """Whether its customer may end it now."""
    return features.cancel.enabled and not subscription.ended and subscription.cancel_at is None


def require_can_end(subscription: Subscription, features: Features) -> None:
    """Refuse the end of a subscription that is not the customer's to end, or is ending already."""
    if not features.cancel.enabled:
        raise Refusal(
            "This subscription cannot be canceled because the subscription cancellation feature in the portal"
            " configuration is disabled.",
            code="portal_feature_disabled",
        )
    if subscription.ended or subscription.cancel_at is not None:
        raise Refusal("This subscription has been canceled already.", code="subscription_canceled")


def can_go_on(subscription: Subscription, features: Features) -> bool:
    """Whether its customer may call the planned end off: the end of a period, as the portal plans it."""
    return features.cancel.enabled and not subscription.ended and subscription.cancel_at_period_end


def options(subscription: Subscription, prices: Prices, features: Features) -> Options | None:
    """What its customer may change it to; None where nothing can be changed.

    Only a running subscription of a single item that is not billed by usage can be changed, as at Stripe.
    `prices` has the present price and those that the features name, as far as they are sold in its currency.
    """
    switch = features.switch
    changeable = subscription.status in ("active", "trialing") and subscription.cancel_at is None
    if not switch.enabled or not changeable or len(subscription.items) != 1:
        return None
    item = subscription.items[0]
    price = prices[item.price]
    offered = switch.of(price.product)
    if price.metered or (offered is None and "price" not in switch.allowed):
        return None
    bounds = _bounds(offered) if offered is not None and "quantity" in switch.allowed else (None, None)
    others: list[Price] = []
    if "price" in switch.allowed:
        named = [prices[id] for each in switch.products for id in each.prices if id != price.id and id in prices]
        others = [each for each in named if each.active]
    if not others and bounds == (None, None):
        return None
    return Options(item=item, prices=(price, *others), minimum=bounds[0], maximum=bounds[1])


_MOST = 999_999


def _bounds(offered: Switchable) -> tuple[int | None, int | None]:
    if not offered.adjustable:
        return None, None
    return offered.minimum, _MOST if offered.maximum is None else offered.maximum


def require_option(found: Options | None, asked: Sequence[FlowItem], *, at: str = "items") -> FlowItem:
    """The change asked for, if it is one of the options. Refuses any other."""
    if found is None:
        raise Refusal(
            "This subscription cannot be updated in the portal: the subscription update feature is disabled, or the"
            " subscription is ending, has several items or is billed by usage.",
            code="portal_feature_disabled",
        )
    if len(asked) != 1 or asked[0].id != found.item.id:
        raise Refusal("The one item of the subscription is to be named.", param=at)
    change = asked[0]
    if change.price is not None and change.price not in [price.id for price in found.prices]:
        raise Refusal(
            "The price is not among those that the portal configuration lets this subscription move to.",
            param=f"{at}[0][price]",
        )
    if change.quantity is not None and change.quantity != found.item.quantity:
        if found.minimum is None or found.maximum is None:
            raise Refusal("The quantity cannot be adjusted.", param=f"{at}[0][quantity]")
        if not found.minimum <= change.quantity <= found.maximum:
            raise Refusal(
                f"The quantity must be between {found.minimum} and {found.maximum}.", param=f"{at}[0][quantity]"
            )
    return change
