"""`/v1/charges`: what processors answered; read only."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api import link
from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.charged_card import payment_method_details
from meterline.api.stripe.expand import expandable, fetcher
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import InstantFilter, ListParams, RetrieveParams, Text
from meterline.api.stripe.payment_method import billing_details
from meterline.api.stripe.route import Routes
from meterline.api.stripe.shipping import shown_shipping
from meterline.api.stripe.snapshot import snapshots
from meterline.payment.method import BillingDetails
from meterline.payment.payment import Attempt
from meterline.refusal import Missing
from meterline.store import customer as customers
from meterline.store import payment as store
from meterline.store import row

routes = Routes("charges")

expandable("charge", "customer", kind="customer")
expandable("charge", "payment_intent", kind="payment_intent")

_STATUS = {"succeeded": "succeeded", "refused": "failed", "action_needed": "failed", None: "pending"}


class ChargeList(ListParams):
    created: InstantFilter | None = None
    customer: Text | None = None
    payment_intent: Text | None = None


def render(charge: Attempt) -> Json:
    """The charge object."""
    paid = charge.outcome == "succeeded"
    return {
        "id": charge.id,
        "object": "charge",
        "amount": charge.amount,
        "amount_captured": charge.amount_captured,
        "amount_refunded": charge.amount_refunded,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": charge.balance_transaction,
        "billing_details": billing_details(
            BillingDetails() if charge.presented is None else charge.presented.billing_details
        ),
        "calculated_statement_descriptor": charge.statement_descriptor_suffix or charge.statement_descriptor,
        "captured": charge.captured,
        "created": unix(charge.created),
        "currency": charge.currency,
        "customer": charge.customer,
        "description": charge.description,
        "disputed": charge.disputed,
        "failure_balance_transaction": None,
        "failure_code": charge.code,
        "failure_message": charge.message,
        "fraud_details": {},
        "livemode": charge.environment == "live",
        "metadata": dict(charge.metadata),
        "on_behalf_of": None,
        "outcome": _outcome(charge),
        "paid": paid,
        "payment_intent": charge.payment,
        "payment_method": charge.payment_method,
        "payment_method_details": payment_method_details(charge),
        "receipt_email": charge.receipt_email,
        "receipt_number": None,
        "receipt_url": link.hosted("receipt", charge.environment, charge.id) if paid else None,
        "refunded": charge.amount_refunded > 0 and charge.refundable == 0,
        "review": None,
        "shipping": shown_shipping(charge.shipping),
        "source": None,
        "source_transfer": None,
        "statement_descriptor": charge.statement_descriptor,
        "statement_descriptor_suffix": charge.statement_descriptor_suffix,
        "status": _STATUS[charge.outcome],
        "transfer_data": None,
        "transfer_group": None,
    }


def _outcome(charge: Attempt) -> Json | None:
    if charge.outcome is None:
        return None
    paid = charge.outcome == "succeeded"
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network" if paid else "declined_by_network",
        "reason": None if paid else charge.decline_code or charge.code,
        "risk_level": "normal",
        "seller_message": "Payment complete." if paid else charge.message,
        "type": "authorized" if paid else "issuer_declined",
    }


snapshots(Attempt, render, url="/v1/charges/{id}")


@fetcher("charge")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find_charges(tx, environment, ids)).items()}


@routes.get("/v1/charges/{charge}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one charge."""
    id = call.path["charge"]
    found = (await store.find_charges(call.tx, call.environment, [id])).get(id)
    if found is None or found.outcome == "action_needed":
        raise Missing("charge", id, param="id", subject=True)
    return render(found)


@routes.get("/v1/charges", ChargeList)
async def listed(call: Call[ChargeList]) -> Json:
    """List charges, newest first."""
    asked = call.params
    owner = None
    if asked.customer is not None:
        owner = (await customers.get(call.tx, call.environment, asked.customer)).customer_id
    page = await store.listed_charges(
        call.tx,
        call.environment,
        cursor(asked),
        customer_id=owner,
        payment_id=asked.payment_intent,
        created=asked.created,
    )
    data = [render(row.load(Attempt, each)) for each in page.rows]
    return list_of(data, url=call.url, has_more=page.has_more)
