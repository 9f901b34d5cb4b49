"""`/ingest/policy`: how long an environment wants its events kept, and what becomes of late ones."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from meterline.api.stripe.call import Call
from meterline.api.stripe.json import Json
from meterline.api.stripe.params import Natural, Params, RetrieveParams, Unset
from meterline.api.stripe.route import Routes
from meterline.store import usage_policy
from meterline.store.usage_policy import LateUsage

routes = Routes("usage_policy")

SHORTEST = 36


class PolicyUpdate(Params):
    keep_events_days: Unset[Annotated[Natural, Field(ge=SHORTEST, le=36_500)]] = None
    late_usage: LateUsage | None = None


def render(policy: usage_policy.UsagePolicy) -> Json:
    """The policy; null days mean for ever."""
    return {
        "object": "usage_policy",
        "keep_events_days": policy.keep_events_days,
        "late_usage": policy.late_usage,
        "livemode": policy.environment == "live",
    }


@routes.get("/ingest/policy", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Retrieve the usage policy."""
    return render(await usage_policy.find(call.tx, call.environment))


@routes.post("/ingest/policy", PolicyUpdate)
async def change(call: Call[PolicyUpdate]) -> Json:
    """Set how many days events are kept, at least 36 (empty keeps them for ever), and whether late usage is billed.

    Events of all environments share partitions, so they go when no environment wants them any more.
    """
    asked = call.params
    policy = await usage_policy.find(call.tx, call.environment)
    if asked.sent("keep_events_days"):
        policy = replace(policy, keep_events_days=asked.keep_events_days)
    if asked.late_usage is not None:
        policy = replace(policy, late_usage=asked.late_usage)
    await usage_policy.save(call.tx, policy)
    return render(policy)
