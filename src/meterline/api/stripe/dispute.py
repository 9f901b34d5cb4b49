"""`/v1/disputes`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe import statement_line
from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import expandable, fetcher
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import (
    Bool,
    Hash,
    InstantFilter,
    ListParams,
    Metadata,
    Params,
    RetrieveParams,
    Text,
    merge_metadata,
)
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import snapshots
from meterline.payment.dispute import Dispute, accepted, argued
from meterline.store import customer as customers
from meterline.store import dispute as store
from meterline.store import row
from meterline.usecase.dispute_payment import change_dispute
from meterline.usecase.moment import moment

routes = Routes("disputes")

expandable("dispute", "charge", kind="charge")
expandable("dispute", "payment_intent", kind="payment_intent")

_EVIDENCE = (
    "access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure",
    "cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name",
    "customer_purchase_ip", "customer_signature", "duplicate_charge_documentation", "duplicate_charge_explanation",
    "duplicate_charge_id", "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation", "shipping_address", "shipping_carrier",
    "shipping_date", "shipping_documentation", "shipping_tracking_number", "uncategorized_file",
)  # fmt: skip


class Evidence(Hash):
    """What is said in defence; of the many kinds that Stripe tells apart, those made of text."""

    access_activity_log: Text | None = None
    cancellation_rebuttal: Text | None = None
    customer_email_address: Text | None = None
    customer_name: Text | None = None
    customer_purchase_ip: Text | None = None
    duplicate_charge_explanation: Text | None = None
    product_description: Text | None = None
    refund_refusal_explanation: Text | None = None
    service_date: Text | None = None
    uncategorized_text: Text | None = None


class DisputeUpdate(Params):
    evidence: Evidence | None = None
    metadata: Metadata = {}
    submit: Bool = True


class DisputeList(ListParams):
    charge: Text | None = None
    created: InstantFilter | None = None
    payment_intent: Text | None = None


def render(dispute: Dispute) -> Json:
    """The dispute object."""
    said = dispute.evidence
    return {
        "id": dispute.id,
        "object": "dispute",
        "amount": dispute.amount,
        "balance_transactions": [statement_line.render(line) for line in dispute.balance_transactions],
        "charge": dispute.charge,
        "created": unix(dispute.created),
        "currency": dispute.currency,
        "enhanced_eligibility_types": [],
        "evidence": {name: said.get(name) for name in _EVIDENCE}
        | {"enhanced_evidence": {}, "uncategorized_text": said.get("uncategorized_text")},
        "evidence_details": {
            "due_by": unix(dispute.due_by),
            "enhanced_eligibility": {},
            "has_evidence": bool(said),
            "past_due": False,
            "submission_count": dispute.submissions,
        },
        "is_charge_refundable": False,
        "livemode": dispute.environment == "live",
        "metadata": dict(dispute.metadata),
        "network_reason_code": None,
        "payment_intent": dispute.payment,
        "payment_method_details": _card(dispute),
        "reason": dispute.reason,
        "status": dispute.status,
    }


def _card(dispute: Dispute) -> Json | None:
    """`payment_method_details`. A warning is an inquiry; null of disputes about a card that was not kept."""
    if dispute.brand is None:
        return None
    kind = "inquiry" if dispute.status.startswith("warning") else "chargeback"
    brand = dispute.brand
    return {"card": {"brand": brand, "case_type": kind, "network": brand, "network_reason_code": None}, "type": "card"}


snapshots(Dispute, render, url="/v1/disputes/{id}")


@fetcher("dispute")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}


@routes.get("/v1/disputes/{dispute}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one dispute."""
    return render((await _seen(call))[0])


@routes.post("/v1/disputes/{dispute}", DisputeUpdate)
async def argue(call: Call[DisputeUpdate]) -> Json:
    """Give evidence, and submit it unless told otherwise."""
    asked = call.params
    seen, now = await _seen(call)
    said = {} if asked.evidence is None else asked.evidence.model_dump(exclude_none=True)

    def change(before: Dispute) -> Dispute:
        after = before if asked.evidence is None else argued(before, evidence=said, submit=asked.submit)
        return replace(after, metadata=merge_metadata(dict(before.metadata), asked.metadata))

    return render(await change_dispute(call.tx, seen, change, now=now))


@routes.post("/v1/disputes/{dispute}/close", Params)
async def close(call: Call[Params]) -> Json:
    """Accept that the money is gone."""
    seen, now = await _seen(call)
    return render(await change_dispute(call.tx, seen, accepted, now=now))


@routes.get("/v1/disputes", DisputeList)
async def listed(call: Call[DisputeList]) -> Json:
    """List disputes, newest first."""
    asked = call.params
    page = await store.listed(
        call.tx,
        call.environment,
        cursor(asked),
        charge=asked.charge,
        payment=asked.payment_intent,
        created=asked.created,
    )
    data = [render(row.load(Dispute, each)) for each in page.rows]
    return list_of(data, url=call.url, has_more=page.has_more)


async def _seen(call: Call[Any]) -> tuple[Dispute, datetime]:
    """The dispute that the call is about, and what time it is for its customer."""
    found = await store.get(call.tx, call.environment, call.path["dispute"])
    owner = (await customers.find_all(call.tx, [found.customer_id])).get(found.customer_id)
    clock = None if owner is None else owner.test_clock
    return found, await moment(call.tx, environment=call.environment, test_clock=clock, now=call.now)
