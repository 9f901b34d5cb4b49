"""`/v1/customers`."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe import customer_version as customer_version  # registers how it looked before
from meterline.api.stripe import discount, subscription
from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.customer_params import CustomerCreate, CustomerFields, CustomerList, CustomerUpdate
from meterline.api.stripe.expand import expandable, fetcher, includable
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of, nested_list
from meterline.api.stripe.params import Params, RetrieveParams, merge_metadata
from meterline.api.stripe.route import Routes
from meterline.api.stripe.search import SearchParams, searchable
from meterline.api.stripe.snapshot import snapshots
from meterline.customer import Address, Customer, InvoiceSettings, prefix_from
from meterline.refusal import Missing
from meterline.store import customer as store
from meterline.store import row
from meterline.store import subscription as subscriptions
from meterline.store.identifier import public, uuid7
from meterline.usecase.change_customer import change_customer
from meterline.usecase.create_customer import create_customer
from meterline.usecase.delete_customer import delete_customer
from meterline.usecase.discount_subscription import remove_customer_discount
from meterline.usecase.moment import moment

routes = Routes("customers")

_SHOWN = 10

expandable("customer", "test_clock", kind="test_helpers.test_clock")
expandable("customer", "subscriptions", kind="customer.subscriptions")
expandable("customer.invoice_settings", "default_payment_method", kind="payment_method")


def render(customer: Customer) -> Json:
    """The customer object, or what is left of a deleted one."""
    if customer.deleted:
        return {"id": customer.id, "object": "customer", "deleted": True}
    shipping = customer.shipping
    rendered: Json = {
        "id": customer.id,
        "object": "customer",
        "address": address(customer.address),
        "balance": customer.balance,
        "created": unix(customer.created),
        "currency": customer.currency,
        "default_source": None,
        "delinquent": customer.delinquent,
        "description": customer.description,
        "discount": None if customer.discount is None else discount.render(customer.discount),
        "email": customer.email,
        "invoice_prefix": customer.invoice_prefix,
        "invoice_settings": _settings(customer.invoice_settings),
        "livemode": customer.environment == "live",
        "metadata": dict(customer.metadata),
        "name": customer.name,
        "next_invoice_sequence": customer.next_invoice_sequence,
        "phone": customer.phone,
        "preferred_locales": list(customer.preferred_locales),
        "shipping": shipping and {"address": address(shipping.address), "name": shipping.name, "phone": shipping.phone},
        "tax_exempt": customer.tax_exempt,
        "test_clock": customer.test_clock,
    }
    for name in ("business_name", "individual_name"):
        if customer.extra.get(name) is not None:
            rendered[name] = customer.extra[name]
    return includable(rendered, **_hidden(customer))


def address(place: Address | None) -> Json | None:
    """An address object; null where there is none."""
    if place is None:
        return None
    return {
        "city": place.city,
        "country": place.country,
        "line1": place.line1,
        "line2": place.line2,
        "postal_code": place.postal_code,
        "state": place.state,
    }


def _settings(settings: InvoiceSettings) -> Json:
    fields, rendering = settings.custom_fields, settings.rendering_options
    return {
        "custom_fields": fields and [{"name": line.name, "value": line.value} for line in fields],
        "default_payment_method": settings.default_payment_method,
        "footer": settings.footer,
        "rendering_options": rendering
        and {"amount_tax_display": rendering.amount_tax_display, "template": rendering.template},
    }


def _hidden(customer: Customer) -> Json:
    """What is only sent to who expands it."""
    url = f"/v1/customers/{customer.id}"
    tax = customer.extra.get("tax")
    ids = customer.extra.get("tax_ids")
    return {
        "invoice_credit_balance": {customer.currency: customer.balance} if customer.currency else {},
        "sources": nested_list([], url=f"{url}/sources"),
        "subscriptions": customer.id,
        "tax": {
            "automatic_tax": "not_collecting",
            "ip_address": tax.get("ip_address") if isinstance(tax, Mapping) else None,
            "location": None,
            "provider": "stripe",
        },
        "tax_ids": nested_list(
            [_tax_id(customer, each) for each in ids] if isinstance(ids, Sequence) else [], url=f"{url}/tax_ids"
        ),
    }


def _tax_id(customer: Customer, kept: Mapping[str, object]) -> Json:
    return {
        "id": kept["id"],
        "object": "tax_id",
        "country": None,
        "created": unix(customer.created),
        "customer": customer.id,
        "livemode": customer.environment == "live",
        "owner": {"type": "customer", "customer": customer.id},
        "type": kept["type"],
        "value": kept["value"],
        "verification": None,
    }


snapshots(Customer, render, url="/v1/customers/{id}")


@fetcher("customer")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}


@fetcher("customer.subscriptions", resource="subscriptions")
async def fetch_subscriptions(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    lists = {}
    for id, owner in (await store.find(tx, environment, ids)).items():
        found = await subscriptions.of_customer(tx, customer_id=owner.customer_id)
        data = await subscription.rendered(tx, environment, found[:_SHOWN])
        lists[id] = nested_list(
            data,
            url=f"/v1/subscriptions?customer={id}",
            has_more=len(found) > _SHOWN,
            total_count=len(found),
        )
    return lists


@routes.post("/v1/customers", CustomerCreate)
async def create(call: Call[CustomerCreate]) -> Json:
    """Create a customer."""
    asked = call.params
    blank = Customer(
        environment=call.environment,
        customer_id=uuid7(),
        id=public("cus"),
        created=call.now,
        invoice_prefix=asked.invoice_prefix or prefix_from(secrets.randbits(64)),
        test_clock=asked.test_clock,
        extra=_tax_ids(asked),
    )
    made = await create_customer(
        call.tx,
        new=_applied(blank, asked),
        payment_method=asked.payment_method,
        balance=asked.balance or 0,
        now=call.now,
    )
    return render(made)


def _tax_ids(asked: CustomerCreate) -> dict[str, object]:
    if not asked.tax_id_data:
        return {}
    ids = [{"id": public("txi"), "type": each.type, "value": each.value} for each in asked.tax_id_data]
    return {"tax_ids": ids}


def _applied(before: Customer, asked: CustomerFields) -> Customer:
    """The customer with what was sent; what was not sent stays."""
    texts = ("description", "email", "name", "phone")
    extra = {name: getattr(asked, name) for name in ("business_name", "individual_name") if asked.sent(name)}
    if asked.tax is not None:
        extra["tax"] = {"ip_address": asked.tax.ip_address}
    place = asked.address.address() if asked.address is not None else None
    shipping = asked.shipping.shipping() if asked.shipping is not None else None
    return replace(
        before,
        **{name: getattr(asked, name) for name in texts if asked.sent(name)},
        address=place if asked.sent("address") else before.address,
        shipping=shipping if asked.sent("shipping") else before.shipping,
        invoice_prefix=asked.invoice_prefix or before.invoice_prefix,
        invoice_settings=asked.invoice_settings.applied(before.invoice_settings),
        next_invoice_sequence=asked.next_invoice_sequence or before.next_invoice_sequence,
        preferred_locales=(
            tuple(asked.preferred_locales) if asked.sent("preferred_locales") else before.preferred_locales
        ),
        tax_exempt=(asked.tax_exempt or "none") if asked.sent("tax_exempt") else before.tax_exempt,
        metadata=merge_metadata(before.metadata, asked.metadata),
        extra={name: value for name, value in {**before.extra, **extra}.items() if value is not None},
    )


@routes.get("/v1/customers/search", SearchParams)
async def search(call: Call[SearchParams]) -> Json:
    """Search customers; those on test clocks are not found."""
    return await searchable(call, store.SEARCH, Customer, render)


@routes.get("/v1/customers/{customer}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one customer, or that it was deleted."""
    id = call.path["customer"]
    found = (await store.find(call.tx, call.environment, [id])).get(id)
    if found is None:
        raise Missing(store.KIND, id, param="id", subject=True)
    return render(found)


@routes.post("/v1/customers/{customer}", CustomerUpdate)
async def change(call: Call[CustomerUpdate]) -> Json:
    """Change a customer."""
    asked = call.params
    before = await store.get(call.tx, call.environment, call.path["customer"], param="id", subject=True, lock=True)
    now = await moment(call.tx, environment=call.environment, test_clock=before.test_clock, now=call.now)
    changed = await change_customer(
        call.tx, before=before, after=_applied(before, asked), balance=asked.balance, now=now
    )
    return render(changed)


@routes.delete("/v1/customers/{customer}", Params)
async def delete(call: Call[Params]) -> Json:
    """Delete a customer and end their subscriptions."""
    gone = await delete_customer(call.tx, environment=call.environment, id=call.path["customer"], now=call.now)
    return render(gone)


@routes.delete("/v1/customers/{customer}/discount", Params)
async def delete_discount(call: Call[Params]) -> Json:
    """Take away a customer's own discount."""
    id = call.path["customer"]
    return discount.render_deleted(
        await remove_customer_discount(call.tx, environment=call.environment, id=id, now=call.now)
    )


@routes.get("/v1/customers", CustomerList)
async def listed(call: Call[CustomerList]) -> Json:
    """List customers, newest first; those on a test clock only by naming the clock."""
    asked = call.params
    found = await store.listed(
        call.tx,
        call.environment,
        cursor(asked),
        created=asked.created,
        email=asked.email,
        test_clock=asked.test_clock,
    )
    data = [render(row.load(Customer, each)) for each in found.rows]
    return list_of(data, url=call.url, has_more=found.has_more)
