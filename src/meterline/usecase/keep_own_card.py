"""Cards that customers add, choose and remove by themselves, as far as the seller's portal configuration lets them."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer.portal import require_offered
from meterline.gateway.processor import CardDetails
from meterline.payment.method import BillingDetails, PaymentMethod, require_removable
from meterline.payment.setup import Setup
from meterline.refusal import Declined, Missing
from meterline.store import customer as customers
from meterline.store import payment_method
from meterline.store import subscription as subscriptions
from meterline.store.identifier import public
from meterline.usecase.change_customer import change_customer
from meterline.usecase.change_subscription import AskedChange, change_subscription
from meterline.usecase.create_payment_method import create_payment_method
from meterline.usecase.detach_payment_method import detach_payment_method
from meterline.usecase.enter_portal import Visit
from meterline.usecase.set_up_method import confirm_setup, request_setup


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """The setup that saves the card. While it `requires_action`, the card's holder has to confirm first."""

    setup: Setup
    method: str


async def own_card(tx: AsyncConnection, visit: Visit, id: str) -> PaymentMethod:
    """The visitor's payment method of that id. Raises Missing for one of somebody else, too."""
    found = (await payment_method.find(tx, visit.environment, [id])).get(id)
    if found is None or found.customer_id != visit.customer.customer_id:
        raise Missing("payment method", id, subject=True)
    return found


async def add_own_card(
    tx: AsyncConnection,
    visit: Visit,
    card: CardDetails,
    *,
    name: str | None,
    default: bool,
    return_url: str,
    wall: datetime,
) -> Added:
    """Save a card. Raises Declined for one that cannot be saved; `return_url` is where its holder comes back to.

    It becomes the default where the customer says so, or has none; not before its holder has confirmed.
    """
    require_offered(visit.configuration.features, "payment_method_update")
    method = await create_payment_method(
        tx,
        environment=visit.environment,
        details=card,
        billing_details=BillingDetails(name=name, email=visit.customer.email),
        now=visit.now,
    )
    id = public("seti")
    new = Setup(
        environment=visit.environment,
        customer_id=visit.customer.customer_id,
        id=id,
        customer=visit.customer.id,
        status="requires_payment_method",
        client_secret=f"{id}_{public('secret')}",
        created=visit.now,
        return_url=return_url,
    )
    done = await confirm_setup(tx, await request_setup(tx, new, now=visit.now), method=method.id, now=visit.now)
    if done.refused is not None:
        raise Declined(done.refused.message, code=done.refused.code, decline_code=done.refused.decline_code)
    first = visit.customer.invoice_settings.default_payment_method is None
    if done.setup.status == "succeeded" and (default or first):
        await _make_default(tx, visit, method.id, wall=wall)
    return Added(setup=done.setup, method=method.id)


async def choose_own_card(tx: AsyncConnection, visit: Visit, *, id: str, wall: datetime) -> None:
    """Pay with that card from now on: by default, and for every subscription that named another."""
    require_offered(visit.configuration.features, "payment_method_update")
    await _make_default(tx, visit, (await own_card(tx, visit, id)).id, wall=wall)


async def _make_default(tx: AsyncConnection, visit: Visit, id: str, *, wall: datetime) -> None:
    for each in await subscriptions.of_customer(tx, customer_id=visit.customer.customer_id):
        if each.default_payment_method not in (None, id):
            asked = AskedChange(default_payment_method=None)
            await change_subscription(tx, asked, environment=visit.environment, id=each.id, now=wall)
    before = await customers.get(tx, visit.environment, visit.customer.id, lock=True)
    settings = replace(before.invoice_settings, default_payment_method=id)
    await change_customer(tx, before=before, after=replace(before, invoice_settings=settings), now=visit.now)


async def remove_own_card(tx: AsyncConnection, visit: Visit, *, id: str) -> None:
    """Remove a card. Refuses the one that running subscriptions are paid with."""
    require_offered(visit.configuration.features, "payment_method_update")
    method = await own_card(tx, visit, id)
    living = await subscriptions.of_customer(tx, customer_id=visit.customer.customer_id)
    customer = await customers.get(tx, visit.environment, visit.customer.id)
    usual = customer.invoice_settings.default_payment_method
    charged = [each.default_payment_method or usual for each in living if each.collection_method != "send_invoice"]
    require_removable(method, charged)
    await detach_payment_method(tx, environment=visit.environment, id=method.id, now=visit.now)
