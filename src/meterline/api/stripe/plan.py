"""The plan: a recurring price as it was called before there were prices, still shown inside subscription items."""

from meterline.api.stripe import price_amount
from meterline.api.stripe.expand import includable
from meterline.api.stripe.json import Json, unix
from meterline.catalog import Package, Price


def render_plan(price: Price) -> Json:
    """The plan object of a recurring price."""
    assert price.recurring is not None, "a plan recurs"
    amounts = price_amount.amounts(price.model)
    scheme = price_amount.scheme(price.model)
    package = price.model if isinstance(price.model, Package) else None
    rendered = {
        "id": price.id,
        "object": "plan",
        "active": price.active,
        "amount": amounts["unit_amount"],
        "amount_decimal": amounts["unit_amount_decimal"],
        "billing_scheme": scheme["billing_scheme"],
        "created": unix(price.created),
        "currency": price.currency,
        "interval": price.recurring.interval.unit,
        "interval_count": price.recurring.interval.count,
        "livemode": price.environment == "live",
        "metadata": dict(price.metadata),
        "meter": price.recurring.meter,
        "nickname": price.nickname,
        "product": price.product,
        "tiers_mode": scheme["tiers_mode"],
        "transform_usage": package and {"divide_by": package.size, "round": package.round},
        "trial_period_days": price.recurring.trial_period_days,
        "usage_type": price.recurring.usage_type,
    }
    tiers = price_amount.tiers(price.model)
    return rendered if tiers is None else includable(rendered, tiers=tiers)
