"""`/v1/subscription_items`: the same changes as on the subscription, said of one item."""

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe import subscription_asked as asking
from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import expandable
from meterline.api.stripe.json import Json
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import RetrieveParams
from meterline.api.stripe.route import Routes
from meterline.api.stripe.subscription import render_item
from meterline.api.stripe.subscription_params import ItemCreate, ItemDelete, ItemList, ItemUpdate
from meterline.refusal import Missing
from meterline.store import price as prices
from meterline.store import subscription as store
from meterline.subscription.model import Subscription, SubscriptionItem
from meterline.usecase.change_subscription import AskedChange, AskedItemChange, change_subscription

routes = Routes("subscriptions")

expandable("subscription_item", "discounts", kind="discount")
expandable("plan", "product", kind="product")


@routes.post("/v1/subscription_items", ItemCreate)
async def create(call: Call[ItemCreate]) -> Json:
    """Add an item to a subscription."""
    asked = call.params
    if asked.subscription not in await store.find(call.tx, call.environment, [asked.subscription]):
        raise Missing("subscription", asked.subscription, param="subscription")
    change = asking.item_change(asked, id=None, environment=call.environment, off_session=False, now=call.now)
    changed = await change_subscription(
        call.tx, change, environment=call.environment, id=asked.subscription, now=call.now
    )
    return await _rendered(call.tx, changed, changed.items[-1])


@routes.get("/v1/subscription_items", ItemList)
async def listed(call: Call[ItemList]) -> Json:
    """List the items of a subscription, newest first."""
    id = call.params.subscription
    owner = (await store.find(call.tx, call.environment, [id])).get(id)
    if owner is None:
        raise Missing("subscription", id, param="subscription")
    page = await store.listed_items(call.tx, owner=owner, cursor=cursor(call.params))
    found = await store.items_of(call.tx, page.rows)
    sold = await prices.find(call.tx, call.environment, {item.price for item in found})
    data = [render_item(owner, item, sold[item.price]) for item in found]
    return list_of(data, url=call.url, has_more=page.has_more)


@routes.get("/v1/subscription_items/{item}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one item."""
    owner, item = await _find(call.tx, call.environment, call.path["item"])
    return await _rendered(call.tx, owner, item)


@routes.post("/v1/subscription_items/{item}", ItemUpdate)
async def change(call: Call[ItemUpdate]) -> Json:
    """Change an item's price, quantity or metadata."""
    owner, item = await _find(call.tx, call.environment, call.path["item"])
    asked = asking.item_change(
        call.params,
        id=item.id,
        environment=call.environment,
        off_session=call.params.off_session,
        now=call.now,
    )
    changed = await change_subscription(call.tx, asked, environment=call.environment, id=owner.id, now=call.now)
    after = changed.item(item.id)
    assert after is not None
    return await _rendered(call.tx, changed, after)


@routes.delete("/v1/subscription_items/{item}", ItemDelete)
async def remove(call: Call[ItemDelete]) -> Json:
    """Take an item off its subscription."""
    owner, item = await _find(call.tx, call.environment, call.path["item"])
    asked = AskedChange(
        items=[AskedItemChange(param="", id=item.id, deleted=True)],
        proration_behavior=call.params.proration_behavior,
        proration_date=call.params.proration_date,
        payment_behavior=call.params.payment_behavior,
    )
    await change_subscription(call.tx, asked, environment=call.environment, id=owner.id, now=call.now)
    return {"id": item.id, "object": "subscription_item", "deleted": True}


async def _find(tx: AsyncConnection, environment: str, id: str) -> tuple[Subscription, SubscriptionItem]:
    found = await store.item_owner(tx, environment=environment, id=id)
    if found is not None:
        owner = (await store.find(tx, environment, [found[1]]))[found[1]]
        item = owner.item(id)
        if item is not None:
            return owner, item
    raise Missing("subscription_item", id, param="item", subject=True)


async def _rendered(tx: AsyncConnection, owner: Subscription, item: SubscriptionItem) -> Json:
    sold = await prices.find(tx, owner.environment, [item.price])
    return render_item(owner, item, sold[item.price])
