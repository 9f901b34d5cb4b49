"""Identifiers are a customer's own: nobody's event is taken for another's."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
import stripe

from tests.wire.test_correction import customer, event, meter, send, used

__all__ = ["customer", "meter"]


def test_an_identifier_that_two_customers_have_cancels_neither(
    client: stripe.StripeClient, raw: httpx.Client, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    other, id = client.v1.customers.create({"name": "Bob"}), uuid4().hex
    assert send(raw, event(customer.id, id, "5"), event(other.id, id, "7")) == ["accepted", "accepted"]
    cancel: Any = {"type": "cancel", "event_name": "tokens", "cancel": {"identifier": id}}
    with pytest.raises(stripe.InvalidRequestError, match="Several customers"):
        client.v1.billing.meter_event_adjustments.create(cancel)
    assert raw.post(f"/ingest/events/{id}/void", data={"reason": "?"}).status_code == 400
    assert (used(client, meter, customer), used(client, meter, other)) == (5, 7)
    assert raw.post(f"/ingest/events/{id}/void", data={"reason": "?", "customer": customer.id}).status_code == 200
    assert (used(client, meter, customer), used(client, meter, other)) == (0, 7)
