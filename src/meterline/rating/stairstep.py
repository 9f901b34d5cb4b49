"""Stairstep: the step that the quantity falls in is the amount; one step is a flat fee."""

from decimal import Decimal

from meterline.catalog import StairStep
from meterline.rating.line import RatedLine


def lines(model: StairStep, quantity: Decimal) -> tuple[RatedLine, ...]:
    """One line: the amount of the step."""
    number, step = next(
        (number, step)
        for number, step in enumerate(model.steps, start=1)
        if step.up_to is None or quantity <= step.up_to
    )
    return (
        RatedLine(
            kind="step", quantity=quantity, units=quantity, unit=None, flat=step.amount, exact=step.amount,
            tier=number, up_to=step.up_to,
        ),
    )  # fmt: skip
