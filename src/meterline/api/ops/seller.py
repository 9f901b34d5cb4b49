"""`/ops/seller`: what invoices, receipts and credit notes say of the business behind an environment."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from meterline.api.stripe.call import Call
from meterline.api.stripe.customer import address
from meterline.api.stripe.customer_params import AddressParams
from meterline.api.stripe.json import Json
from meterline.api.stripe.params import Params, RetrieveParams, Text, Unset
from meterline.api.stripe.route import Routes
from meterline.invoice.seller import Seller
from meterline.store import seller as store

routes = Routes("seller")

Short = Unset[Annotated[Text, Field(max_length=200)]]


class SellerUpdate(Params):
    address: Unset[AddressParams] = None
    email: Short = None
    name: Short = None
    phone: Short = None
    tax_id: Short = None
    url: Short = None


def render(seller: Seller) -> Json:
    """The seller; null is what was not set."""
    return {
        "object": "seller",
        "address": address(seller.address),
        "email": seller.email,
        "livemode": seller.environment == "live",
        "name": seller.name,
        "phone": seller.phone,
        "tax_id": seller.tax_id,
        "url": seller.url,
    }


@routes.get("/ops/seller", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read what documents say of the seller."""
    return render(await store.find(call.tx, call.environment))


@routes.post("/ops/seller", SellerUpdate)
async def change(call: Call[SellerUpdate]) -> Json:
    """Set what documents say of the seller; what is sent empty is left out again."""
    asked = call.params
    before = await store.find(call.tx, call.environment)
    texts = {name: getattr(asked, name) for name in ("email", "name", "phone", "tax_id", "url") if asked.sent(name)}
    after = replace(before, **texts)
    if asked.sent("address"):
        after = replace(after, address=None if asked.address is None else asked.address.address())
    await store.save(call.tx, after)
    return render(after)
