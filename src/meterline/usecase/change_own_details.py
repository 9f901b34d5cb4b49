"""What customers change about themselves, as far as the seller's portal configuration lets them."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Address, Customer
from meterline.customer.portal import require_offered
from meterline.refusal import Refusal
from meterline.store import customer as customers
from meterline.usecase.change_customer import change_customer
from meterline.usecase.enter_portal import Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a customer says of themselves; null clears."""

    name: str | None
    email: str | None
    phone: str | None
    address: Address | None


async def change_own_details(tx: AsyncConnection, visit: Visit, details: Details) -> Customer:
    """The customer with the details that they may change; the others stay. Refuses an e-mail that cannot be one."""
    features = visit.configuration.features
    require_offered(features, "customer_update")
    before = await customers.get(tx, visit.environment, visit.customer.id, lock=True)
    said: dict[str, Any] = {
        "name": details.name,
        "email": details.email,
        "phone": details.phone,
        "address": details.address,
    }
    changes = {name: value for name, value in said.items() if name in features.details.allowed}
    email = changes.get("email")
    if email is not None and (email.count("@") != 1 or email.startswith("@") or email.endswith("@")):
        raise Refusal("This is not an e-mail address.", param="email")
    return await change_customer(tx, before=before, after=replace(before, **changes), now=visit.now)
