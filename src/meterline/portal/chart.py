"""Bars for amounts by day, as plain numbers that a template draws: a picture that needs no script."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

WIDTH, HEIGHT, FLOOR = 640, 160, 20
"""The picture in its own units; below the floor line stand the days."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One day: where its bar stands, and what it says."""

    day: date
    label: str
    amount: Decimal
    text: str
    x: str
    y: str
    width: str
    height: str
    marked: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """All bars, and the largest amount in words. Days without anything have a bar of no height."""

    bars: tuple[Bar, ...]
    top: str
    empty: bool


def chart(days: Sequence[tuple[date, Decimal, str]]) -> Chart:
    """The chart of (day, amount, the amount in words), the days in order. Negative amounts have no height."""
    top = max((amount for _, amount, _ in days), default=Decimal(0))
    step = Decimal(WIDTH) / max(len(days), 1)
    room = Decimal(HEIGHT - FLOOR - 4)
    bars = []
    for place, (day, amount, text) in enumerate(days):
        height = room * amount / top if top > 0 and amount > 0 else Decimal(0)
        bars.append(
            Bar(
                day=day,
                label=f"{day.day} {day:%B}",
                amount=amount,
                text=text,
                x=_units(step * place + step / 10),
                y=_units(HEIGHT - FLOOR - height),
                width=_units(step * 8 / 10),
                height=_units(height),
                marked=place == 0 or place == len(days) - 1 or (day.day % 5 == 0 and place not in (1, len(days) - 2)),
            )
        )
    words = next((text for _, amount, text in days if amount == top), "")
    return Chart(bars=tuple(bars), top=words, empty=top <= 0)


def _units(length: Decimal) -> str:
    return f"{length:.2f}"
