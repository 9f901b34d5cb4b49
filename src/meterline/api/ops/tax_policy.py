"""`/ops/tax_policy`: whether tax is rounded for each line, or once for each rate of an invoice."""

from dataclasses import replace

from meterline.api.stripe.call import Call
from meterline.api.stripe.json import Json
from meterline.api.stripe.params import Params, RetrieveParams
from meterline.api.stripe.route import Routes
from meterline.invoice.tax import Rounding
from meterline.store import tax_policy
from meterline.store.tax_policy import TaxPolicy

routes = Routes("tax_policy")


class PolicyUpdate(Params):
    rounding: Rounding | None = None


def render(policy: TaxPolicy) -> Json:
    """The policy."""
    return {"object": "tax_policy", "livemode": policy.environment == "live", "rounding": policy.rounding}


@routes.get("/ops/tax_policy", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Retrieve the tax policy."""
    return render(await tax_policy.find(call.tx, call.environment))


@routes.post("/ops/tax_policy", PolicyUpdate)
async def change(call: Call[PolicyUpdate]) -> Json:
    """Set whether tax is rounded per `line` or per `invoice`; it holds for what is finalized from now on."""
    policy = await tax_policy.find(call.tx, call.environment)
    if call.params.rounding is not None:
        policy = replace(policy, rounding=call.params.rounding)
        await tax_policy.save(call.tx, policy)
    return render(policy)
