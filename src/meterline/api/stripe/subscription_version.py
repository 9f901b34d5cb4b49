"""Subscriptions as callers of older API versions ask for them."""

from typing import Any

from meterline.api.stripe.subscription_params import SubscriptionCreate, SubscriptionResume, SubscriptionUpdate
from meterline.api.stripe.version import accepted_before


@accepted_before("2025-09-30", SubscriptionCreate)
def classic_unless_said(raw: dict[str, Any]) -> None:
    """Flexible billing is what is meant by saying nothing only since clover."""
    raw.setdefault("billing_mode", {"type": "classic"})


@accepted_before("2026-09-30", SubscriptionUpdate)
@accepted_before("2026-09-30", SubscriptionResume)
def anchor_as_word(raw: dict[str, Any]) -> None:
    """Before endive the anchor of a change was a word; since then it is an object."""
    said = raw.get("billing_cycle_anchor")
    if isinstance(said, str):
        raw["billing_cycle_anchor"] = {"type": said}
