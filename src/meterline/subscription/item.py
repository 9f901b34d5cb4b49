"""Which prices may stand together on a subscription."""

from collections.abc import Sequence

from meterline.catalog import Price
from meterline.refusal import Refusal
from meterline.subscription import cycle
from meterline.subscription.model import Mode

MAX_ITEMS = 20


def check_price(price: Price, *, currency: str | None, param: str) -> None:
    """Refuse a price that no subscription item can have."""
    if price.recurring is None:
        raise Refusal(
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.",
            param=param,
        )
    if not price.active:
        raise Refusal("The price specified is inactive. This field only accepts active prices.", param=param)
    if currency is not None and not price.sold_in(currency):
        raise Refusal(
            f"The price specified only supports `{price.currency}`. This doesn't match the expected currency:"
            f" `{currency}`.",
            param=param,
        )


def settle_quantity(price: Price, quantity: int | None, *, param: str) -> int | None:
    """The quantity of an item: one unless told, none where usage is metered."""
    if not price.metered:
        return 1 if quantity is None else quantity
    if quantity is not None:
        path = param.removesuffix("[quantity]")
        where = "" if path == param else f" from `{path}`"
        raise Refusal(
            f"Quantity should not be specified where usage_type is `metered`. Remove quantity{where}",
            param=param,
        )
    return None


def check_together(prices: Sequence[Price], *, mode: Mode) -> None:
    """Refuse prices that cannot be items of one subscription: too many, the same twice, or mixed intervals."""
    if not prices:
        raise Refusal(
            "A subscription must have at least one active plan. In order to cancel a subscription, please use"
            " the cancel API endpoint."
        )
    if len(prices) > MAX_ITEMS:
        raise Refusal(f"A subscription can have at most {MAX_ITEMS} items.", param="items")
    seen: set[str] = set()
    for price in prices:
        if price.id in seen:
            raise Refusal(
                f"Cannot create a Subscription with multiple Subscription Items with the same Price: {price.id}",
                param="plan",
            )
        seen.add(price.id)
    if mode == "classic" and len({cycle.interval(price) for price in prices}) > 1:
        raise Refusal(
            "If a subscription has multiple prices, they must all have the same billing interval. To mix"
            " intervals, use `billing_mode[type]=flexible`."
        )
