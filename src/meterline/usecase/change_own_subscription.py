"""What a customer does with a subscription of their own: end it, call the end off, change it. The seller's portal
configuration says what is allowed, and how."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer.portal import Features, FlowItem
from meterline.refusal import Missing, Refusal
from meterline.store import price as prices
from meterline.store import subscription as subscriptions
from meterline.subscription.model import Cancellation, Subscription
from meterline.subscription.self_service import Options, can_go_on, options, require_can_end, require_option
from meterline.usecase.cancel_subscription import cancel_subscription
from meterline.usecase.change_subscription import AskedChange, AskedItemChange, change_subscription
from meterline.usecase.enter_portal import Visit


async def own_subscription(tx: AsyncConnection, visit: Visit, id: str) -> Subscription:
    """The visitor's subscription of that id. Raises Missing for one of somebody else, too."""
    found = (await subscriptions.find(tx, visit.environment, [id])).get(id)
    if found is None or found.customer_id != visit.customer.customer_id:
        raise Missing("subscription", id, subject=True)
    return found


async def end_own_subscription(
    tx: AsyncConnection,
    visit: Visit,
    *,
    id: str,
    feedback: str | None = None,
    comment: str | None = None,
    wall: datetime,
) -> Subscription:
    """End it at the end of its period, or at once, as the configuration says. Refuses what it does not allow.

    An end at once bills the usage so far.
    """
    features = visit.configuration.features
    require_can_end(await own_subscription(tx, visit, id), features)
    cancel = features.cancel
    said = feedback if cancel.asks_reason and feedback in cancel.reasons else None
    if cancel.mode == "immediately":
        return await cancel_subscription(
            tx,
            environment=visit.environment,
            id=id,
            invoice_now=True,
            prorate=cancel.proration_behavior == "create_prorations",
            details=Cancellation(feedback=said, comment=comment),
            now=wall,
        )
    asked = AskedChange(cancel_at="min_period_end", cancellation_details={"feedback": said, "comment": comment})
    return await change_subscription(tx, asked, environment=visit.environment, id=id, now=wall)


async def keep_own_subscription(tx: AsyncConnection, visit: Visit, *, id: str, wall: datetime) -> Subscription:
    """Call the planned end off. Refuses where none is planned that the customer may call off."""
    if not can_go_on(await own_subscription(tx, visit, id), visit.configuration.features):
        raise Refusal("This subscription does not end at the end of its period.")
    return await change_subscription(tx, AskedChange(cancel_at=None), environment=visit.environment, id=id, now=wall)


async def own_options(tx: AsyncConnection, subscription: Subscription, features: Features) -> Options | None:
    """What the customer may change the subscription to."""
    named = {id for each in features.switch.products for id in each.prices}
    found = await prices.find(tx, subscription.environment, named | {item.price for item in subscription.items})
    currency = subscription.currency
    sold = {id: price.in_currency(currency) for id, price in found.items() if price.sold_in(currency)}
    return options(subscription, sold, features)


async def switch_own_subscription(
    tx: AsyncConnection, visit: Visit, *, id: str, items: Sequence[FlowItem], wall: datetime
) -> Subscription:
    """Move the subscription to another price or quantity, prorated as the configuration says."""
    features = visit.configuration.features
    found = await own_subscription(tx, visit, id)
    change = require_option(await own_options(tx, found, features), items)
    switch = features.switch
    ends_trial = found.status == "trialing" and switch.trial_update_behavior == "end_trial"
    asked = AskedChange(
        items=[AskedItemChange(param="items[0]", id=change.id, price=change.price, quantity=change.quantity)],
        proration_behavior=switch.proration_behavior,
        anchor_now=switch.billing_cycle_anchor == "now",
        trial_end="now" if ends_trial else None,
    )
    return await change_subscription(tx, asked, environment=visit.environment, id=id, now=wall)
