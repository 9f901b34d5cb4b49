"""What a price includes before usage costs anything."""

from decimal import Decimal

from meterline.catalog import Graduated, PriceModel


def included(*, allowance: Decimal, model: PriceModel) -> Decimal | None:
    """The quantity per period that is free of charge: an allowance, or a first tier without a price.

    Null where usage costs from the first unit on, or never does.
    """
    if allowance > 0:
        return allowance
    if not isinstance(model, Graduated):
        return None
    free = 0
    for tier in model.tiers:
        if tier.unit or tier.flat:
            return Decimal(free) if free else None
        if tier.up_to is None:
            return None
        free = tier.up_to
    return None
