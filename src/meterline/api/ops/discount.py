"""`POST /ops/customers/{id}/discount`: a discount on all bills of a customer.

Stripe's API cannot give one since basil (its dashboard can), though it shows and removes it.
"""

from meterline.api.stripe.call import Call
from meterline.api.stripe.customer import render
from meterline.api.stripe.json import Json
from meterline.api.stripe.params import Params, Text
from meterline.api.stripe.route import Routes
from meterline.usecase.discount_subscription import discount_customer
from meterline.usecase.redeem_coupon import AskedDiscount

routes = Routes("customers")


class CustomerDiscount(Params):
    """What is redeemed for the customer: one of the two."""

    coupon: Text | None = None
    promotion_code: Text | None = None


@routes.post("/ops/customers/{customer}/discount", CustomerDiscount)
async def give(call: Call[CustomerDiscount]) -> Json:
    """Redeem a coupon or a promotion code for all bills of a customer; the discount they had ends."""
    asked = AskedDiscount(param="", coupon=call.params.coupon, promotion_code=call.params.promotion_code)
    changed = await discount_customer(
        call.tx, environment=call.environment, id=call.path["customer"], asked=asked, now=call.now
    )
    return render(changed)
