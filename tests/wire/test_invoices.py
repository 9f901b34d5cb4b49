"""Invoices made by hand: drafts, finalization, payment, declines, endings, and every refusal on the way."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest
import stripe

from tests.wire.billing import customer_with, draft_of

if TYPE_CHECKING:
    from stripe.params import InvoiceCreateParams, InvoiceListParams


def test_a_draft_made_by_hand_waits_for_orders(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    client.v1.invoice_items.create({"customer": customer.id, "amount": 700, "currency": "usd"})

    draft = client.v1.invoices.create({"customer": customer.id})

    assert (draft.status, draft.auto_advance, draft.billing_reason) == ("draft", False, "manual")
    assert draft.lines.data == []
    assert (draft.total, draft.amount_due, draft.ending_balance, draft.number) == (0, 0, None, None)
    assert (draft.automatically_finalizes_at, draft.next_payment_attempt) == (None, None)


def test_pending_items_are_swept_newest_first_when_asked(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    for amount in (100, 200, 300):
        client.v1.invoice_items.create({"customer": customer.id, "amount": amount, "currency": "usd"})

    draft = client.v1.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})

    assert [line.amount for line in draft.lines.data] == [300, 200, 100]
    assert draft.total == 600
    assert client.v1.invoice_items.list({"customer": customer.id, "pending": True}).data == []


def test_an_advancing_draft_says_when(client: stripe.StripeClient) -> None:
    customer = customer_with(client)

    draft = client.v1.invoices.create({"customer": customer.id, "auto_advance": True})
    held = client.v1.invoices.update(draft.id, {"auto_advance": False})

    assert draft.automatically_finalizes_at == draft.created + 3601
    assert draft.next_payment_attempt == draft.created + 3600
    assert (held.automatically_finalizes_at, held.next_payment_attempt) == (None, None)


def test_the_hour_of_finalization_can_be_chosen(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    tomorrow = int((datetime.now(UTC) + timedelta(days=1)).timestamp())

    planned = client.v1.invoices.create({"customer": customer.id, "automatically_finalizes_at": tomorrow})
    moved = client.v1.invoices.update(planned.id, {"automatically_finalizes_at": tomorrow + 3600})

    assert (planned.auto_advance, planned.automatically_finalizes_at) == (True, tomorrow)
    assert (moved.auto_advance, moved.automatically_finalizes_at) == (True, tomorrow + 3600)
    with pytest.raises(stripe.InvalidRequestError, match="`auto_advance` cannot be false"):
        client.v1.invoices.create(
            {"customer": customer.id, "automatically_finalizes_at": tomorrow, "auto_advance": False}
        )


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"automatically_finalizes_at": 1_000_000}, "automatically_finalizes_at"),
        ({"automatically_finalizes_at": 9_999_999_999}, "automatically_finalizes_at"),
        ({"collection_method": "send_invoice", "due_date": 1_000_000}, "due_date"),
        ({"default_payment_method": "pm_nope"}, "default_payment_method"),
        ({"subscription": "sub_nope"}, "subscription"),
        ({"currency": "eur"}, "currency"),
    ],
)
def test_terms_that_cannot_be_are_refused(client: stripe.StripeClient, asked: dict[str, object], param: str) -> None:
    customer = customer_with(client)
    client.v1.customers.balance_transactions.create(customer.id, {"amount": -1, "currency": "usd"})

    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.invoices.create(cast("InvoiceCreateParams", {"customer": customer.id, **asked}))

    assert (refused.value.http_status, refused.value.param) == (400, param)


def test_finalizing_numbers_and_opens_but_does_not_collect(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    first = client.v1.invoices.finalize_invoice(draft_of(client, customer, 1000).id)
    second = client.v1.invoices.finalize_invoice(draft_of(client, customer, 500).id)

    assert (first.status, first.attempted, first.attempt_count) == ("open", False, 0)
    assert (first.amount_due, first.amount_paid, first.amount_remaining) == (1000, 0, 1000)
    assert first.number == f"{customer.invoice_prefix}-0001"
    assert second.number == f"{customer.invoice_prefix}-0002"
    assert (first.starting_balance, first.ending_balance) == (0, 0)
    assert first.effective_at == first.status_transitions.finalized_at
    assert client.v1.customers.retrieve(customer.id).next_invoice_sequence == 3


def test_paying_a_draft_finalizes_and_collects(client: stripe.StripeClient) -> None:
    customer = customer_with(client)

    paid = client.v1.invoices.pay(draft_of(client, customer, 1000, 250).id, {"expand": ["payments"]})

    assert (paid.status, paid.attempted, paid.attempt_count, paid.auto_advance) == ("paid", True, 1, False)
    assert (paid.amount_due, paid.amount_paid, paid.amount_remaining) == (1250, 1250, 0)
    assert paid.status_transitions.paid_at is not None
    assert paid.payments is not None
    [payment] = paid.payments.data
    assert (payment.status, payment.amount_paid, payment.is_default) == ("paid", 1250, True)
    assert client.v1.invoice_payments.retrieve(payment.id) == payment
    assert client.v1.invoice_payments.list({"invoice": paid.id}).data == [payment]
    told = client.v1.events.list({"type": "invoice_payment.paid"}).data
    assert [event.data.object["status"] for event in told if event.data.object["id"] == payment.id] == ["paid"]


def test_a_declined_payment_leaves_the_invoice_open_and_counted(client: stripe.StripeClient) -> None:
    customer = customer_with(client, "pm_card_chargeCustomerFail")
    draft = draft_of(client, customer, 1000)

    with pytest.raises(stripe.CardError) as declined:
        client.v1.invoices.pay(draft.id)
    after = client.v1.invoices.retrieve(draft.id)

    assert (declined.value.http_status, declined.value.code) == (402, "card_declined")
    assert (after.status, after.attempted, after.attempt_count) == ("open", True, 1)
    assert (after.amount_paid, after.amount_remaining) == (0, 1000)


def test_another_card_pays_what_the_first_one_refused(client: stripe.StripeClient) -> None:
    customer = customer_with(client, "pm_card_chargeCustomerFail")
    draft = draft_of(client, customer, 1000)
    with pytest.raises(stripe.CardError):
        client.v1.invoices.pay(draft.id)
    good = client.v1.payment_methods.attach("pm_card_mastercard", {"customer": customer.id})

    paid = client.v1.invoices.pay(draft.id, {"payment_method": good.id})

    assert (paid.status, paid.attempt_count) == ("paid", 1)


def test_a_card_that_must_be_confirmed_does_not_pay(client: stripe.StripeClient) -> None:
    customer = customer_with(client, "pm_card_authenticationRequired")
    draft = draft_of(client, customer, 1000)

    with pytest.raises(stripe.CardError) as declined:
        client.v1.invoices.pay(draft.id)

    assert declined.value.code == "invoice_payment_intent_requires_action"
    opened = client.v1.invoices.retrieve(draft.id, {"expand": ["confirmation_secret"]})
    assert opened.status == "open"
    assert opened.confirmation_secret is not None
    assert opened.confirmation_secret.client_secret.startswith("pi_")


def test_nothing_to_pay_with_is_refused_and_changes_nothing(client: stripe.StripeClient) -> None:
    customer = customer_with(client, None)
    draft = draft_of(client, customer, 1000)

    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source"):
        client.v1.invoices.pay(draft.id)

    assert client.v1.invoices.retrieve(draft.id).status == "draft"


def test_another_customers_card_is_refused(client: stripe.StripeClient) -> None:
    customer, other = customer_with(client, None), customer_with(client)
    draft = draft_of(client, customer, 1000)
    assert other.invoice_settings is not None

    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.invoices.pay(draft.id, {"payment_method": str(other.invoice_settings.default_payment_method)})

    assert refused.value.param == "payment_method"


def test_money_taken_elsewhere_is_recorded(client: stripe.StripeClient) -> None:
    customer = customer_with(client, None)

    paid = client.v1.invoices.pay(draft_of(client, customer, 1000).id, {"paid_out_of_band": True})

    assert (paid.status, paid.amount_paid, paid.amount_paid_off_stripe) == ("paid", 1000, 1000)


@pytest.mark.parametrize(
    ("opening", "amounts", "due", "ending"),
    [
        (-1000, (400,), 0, -600),
        (500, (1000,), 1500, 0),
        (-1000, (1400,), 400, 0),
        (0, (-334,), 0, -334),
        (0, (49,), 0, 49),
        (0, (50,), 50, 0),
        (20, (30,), 50, 0),
        (0, (), 0, 0),
    ],
)
def test_the_balance_meets_the_total(
    client: stripe.StripeClient, opening: int, amounts: tuple[int, ...], due: int, ending: int
) -> None:
    customer = customer_with(client)
    if opening:
        client.v1.customers.balance_transactions.create(customer.id, {"amount": opening, "currency": "usd"})

    issued = client.v1.invoices.finalize_invoice(draft_of(client, customer, *amounts).id)

    assert (issued.amount_due, issued.starting_balance, issued.ending_balance) == (due, opening, ending)
    assert client.v1.customers.retrieve(customer.id).balance == ending
    entries = client.v1.customers.balance_transactions.list(customer.id, {"invoice": issued.id}).data
    assert [(each.type, each.amount) for each in entries] == (
        [("applied_to_invoice", ending - opening)] if ending != opening else []
    )
    if due == 0:
        assert (issued.status, issued.attempted, issued.attempt_count) == ("paid", True, 0)
    else:
        assert issued.status == "open"


def test_voiding_gives_the_balance_back(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    client.v1.customers.balance_transactions.create(customer.id, {"amount": -400, "currency": "usd"})
    issued = client.v1.invoices.finalize_invoice(draft_of(client, customer, 1000).id)

    void = client.v1.invoices.void_invoice(issued.id, {"expand": ["payments"]})

    assert (issued.amount_due, void.status) == (600, "void")
    assert client.v1.customers.retrieve(customer.id).balance == -400
    types = [each.type for each in client.v1.customers.balance_transactions.list(customer.id).data]
    assert types == ["unapplied_from_invoice", "applied_to_invoice", "adjustment"]
    assert void.payments is not None
    assert [each.status for each in void.payments.data] == ["canceled"]


def test_a_bad_debt_can_still_be_paid(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    issued = client.v1.invoices.finalize_invoice(draft_of(client, customer, 1000).id)

    written_off = client.v1.invoices.mark_uncollectible(issued.id)
    paid = client.v1.invoices.pay(issued.id)

    assert written_off.status == "uncollectible"
    assert written_off.status_details is not None
    assert written_off.status_details.uncollectible is not None
    assert written_off.status_details.uncollectible.reason == "user_forgiven"
    assert paid.status == "paid"


def _plain(metadata: stripe.StripeObject | None) -> dict[str, str]:
    assert metadata is not None
    return metadata.to_dict()


def _draft(client: stripe.StripeClient) -> str:
    return draft_of(client, customer_with(client), 1000).id


def _open(client: stripe.StripeClient) -> str:
    return client.v1.invoices.finalize_invoice(_draft(client)).id


def _paid(client: stripe.StripeClient) -> str:
    return client.v1.invoices.pay(_draft(client)).id


def _void(client: stripe.StripeClient) -> str:
    return client.v1.invoices.void_invoice(_open(client)).id


def _uncollectible(client: stripe.StripeClient) -> str:
    return client.v1.invoices.mark_uncollectible(_open(client)).id


Act = Callable[[stripe.StripeClient, str], object]


@pytest.mark.parametrize(
    ("state", "act", "message"),
    [
        (_paid, lambda c, i: c.v1.invoices.pay(i), "Invoice is already paid"),
        (_void, lambda c, i: c.v1.invoices.pay(i), "void"),
        (_open, lambda c, i: c.v1.invoices.finalize_invoice(i), "you can't re-finalize a non-draft invoice"),
        (_draft, lambda c, i: c.v1.invoices.void_invoice(i), "You can only pass in open invoices."),
        (_void, lambda c, i: c.v1.invoices.void_invoice(i), "You can only pass in open invoices."),
        (_paid, lambda c, i: c.v1.invoices.void_invoice(i), "Invoices with `paid` payments cannot be voided."),
        (_draft, lambda c, i: c.v1.invoices.mark_uncollectible(i), "You can only pass in open invoices."),
        (_uncollectible, lambda c, i: c.v1.invoices.mark_uncollectible(i), "already been marked uncollectible"),
        (_open, lambda c, i: c.v1.invoices.delete(i), "You can only delete draft invoices."),
        (_open, lambda c, i: c.v1.invoices.update(i, {"description": "x"}), "Finalized invoices can't be updated"),
        (_paid, lambda c, i: c.v1.invoices.send_invoice(i), "This invoice cannot be sent right now."),
    ],
)
def test_a_state_refuses_what_it_does_not_allow(
    client: stripe.StripeClient, state: Callable[[stripe.StripeClient], str], act: Act, message: str
) -> None:
    id = state(client)
    before = client.v1.invoices.retrieve(id)

    with pytest.raises(stripe.InvalidRequestError) as refused:
        act(client, id)

    assert message in str(refused.value.user_message)
    assert (refused.value.http_status, refused.value.code) == (400, None)
    assert client.v1.invoices.retrieve(id) == before


def test_a_finalized_invoice_keeps_its_lines(client: stripe.StripeClient) -> None:
    id = _open(client)

    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.invoices.add_lines(id, {"lines": [{"amount": 100}]})

    assert refused.value.code == "invoice_not_editable"
    assert _plain(client.v1.invoices.update(id, {"metadata": {"po": "7"}}).metadata) == {"po": "7"}


@pytest.mark.parametrize(
    ("act", "param"),
    [
        (lambda c, i: c.v1.invoices.retrieve(i), "invoice"),
        (lambda c, i: c.v1.invoices.delete(i), "invoice"),
        (lambda c, i: c.v1.invoices.send_invoice(i), "invoice"),
        (lambda c, i: c.v1.invoices.add_lines(i, {"lines": [{"amount": 1}]}), "invoice"),
        (lambda c, i: c.v1.invoices.update(i, {"description": "x"}), "id"),
        (lambda c, i: c.v1.invoices.pay(i), "id"),
        (lambda c, i: c.v1.invoices.finalize_invoice(i), "id"),
        (lambda c, i: c.v1.invoices.void_invoice(i), "id"),
        (lambda c, i: c.v1.invoices.mark_uncollectible(i), "id"),
    ],
)
def test_an_unknown_invoice_is_not_found(client: stripe.StripeClient, act: Act, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        act(client, "in_nope")
    assert (missing.value.http_status, missing.value.code, missing.value.param) == (404, "resource_missing", param)


def test_a_deleted_draft_is_gone_with_its_items(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    draft = draft_of(client, customer, 1000)
    item = draft.lines.data[0].parent
    assert item is not None
    assert item.invoice_item_details is not None

    deleted = client.v1.invoices.delete(draft.id)

    assert deleted.deleted is True
    with pytest.raises(stripe.InvalidRequestError, match="No such invoice"):
        client.v1.invoices.retrieve(draft.id)
    with pytest.raises(stripe.InvalidRequestError, match="No such invoiceitem"):
        client.v1.invoice_items.retrieve(item.invoice_item_details.invoice_item)


def test_a_sent_invoice_needs_a_due_date_and_a_charged_one_refuses_it(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    in_a_month = int((datetime.now(UTC) + timedelta(days=30)).timestamp())

    with pytest.raises(stripe.InvalidRequestError, match="you must specify 'due_date' or 'days_until_due'"):
        client.v1.invoices.create({"customer": customer.id, "collection_method": "send_invoice"})
    with pytest.raises(stripe.InvalidRequestError, match="You can only specify 'days_until_due'"):
        client.v1.invoices.create({"customer": customer.id, "days_until_due": 3})
    sent = client.v1.invoices.create(
        {"customer": customer.id, "collection_method": "send_invoice", "due_date": in_a_month}
    )
    by_days = client.v1.invoices.create(
        {"customer": customer.id, "collection_method": "send_invoice", "days_until_due": 3}
    )

    assert sent.due_date == in_a_month
    assert by_days.due_date == by_days.created + 3 * 86_400


def test_sending_finalizes_a_draft(client: stripe.StripeClient) -> None:
    customer = customer_with(client, None)
    draft = draft_of(client, customer, 900, collection_method="send_invoice", days_until_due=10)

    sent = client.v1.invoices.send_invoice(draft.id)

    assert (sent.status, sent.amount_due, sent.next_payment_attempt) == ("open", 900, None)


def test_lines_are_added_changed_and_removed(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    pending = client.v1.invoice_items.create({"customer": customer.id, "amount": 300, "currency": "usd"})
    draft = client.v1.invoices.create({"customer": customer.id})

    added = client.v1.invoices.add_lines(
        draft.id,
        {
            "lines": [
                {"amount": 500, "description": "Set-up"},
                {"invoice_item": pending.id},
                {"price_data": {"currency": "usd", "product": _product(client), "unit_amount": 40}, "quantity": 3},
            ],
            "invoice_metadata": {"po": "9"},
        },
    )
    first, second, third = added.lines.data
    changed = client.v1.invoices.update_lines(
        draft.id, {"lines": [{"id": first.id, "amount": 450}, {"id": third.id, "quantity": 5}]}
    )
    left = client.v1.invoices.remove_lines(
        draft.id, {"lines": [{"id": first.id, "behavior": "delete"}, {"id": second.id, "behavior": "unassign"}]}
    )

    assert [line.amount for line in added.lines.data] == [500, 300, 120]
    assert _plain(added.metadata) == {"po": "9"}
    assert (changed.total, [line.quantity for line in changed.lines.data]) == (950, [1, 1, 5])
    assert [line.id for line in changed.lines.data] == [first.id, second.id, third.id]
    assert (left.total, [line.id for line in left.lines.data]) == (200, [third.id])
    waiting = client.v1.invoice_items.list({"customer": customer.id, "pending": True}).data
    assert [item.id for item in waiting] == [pending.id]


def _product(client: stripe.StripeClient) -> str:
    return client.v1.products.create({"name": "Support"}).id


def test_an_item_on_a_draft_changes_the_draft(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    draft = draft_of(client, customer, 1000)
    [item] = client.v1.invoice_items.list({"invoice": draft.id}).data

    client.v1.invoice_items.update(item.id, {"amount": 1200, "description": "More", "metadata": {"a": "b"}})
    changed = client.v1.invoices.retrieve(draft.id)
    client.v1.invoice_items.delete(item.id)

    assert (changed.total, changed.lines.data[0].description) == (1200, "More")
    assert _plain(changed.lines.data[0].metadata) == {"a": "b"}
    assert client.v1.invoices.retrieve(draft.id).total == 0


def test_long_invoices_page_their_lines_in_order(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    draft = client.v1.invoices.create({"customer": customer.id, "currency": "usd"})
    client.v1.invoices.add_lines(draft.id, {"lines": [{"amount": amount} for amount in range(1, 26)]})

    shown = client.v1.invoices.retrieve(draft.id)
    walked = [line.amount for line in client.v1.invoices.line_items.list(draft.id, {"limit": 7}).auto_paging_iter()]

    assert shown.lines.has_more is True
    assert shown.lines["total_count"] == 25
    assert [line.amount for line in shown.lines.data] == list(range(1, 11))
    assert walked == list(range(1, 26))
    assert [line.amount for line in shown.lines.auto_paging_iter()] == list(range(1, 26))


def test_invoices_are_listed_by_what_they_are(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    draft = draft_of(client, customer, 1000)
    paid = client.v1.invoices.pay(draft_of(client, customer, 2000).id)

    of_customer = client.v1.invoices.list({"customer": customer.id})
    only_paid = client.v1.invoices.list({"customer": customer.id, "status": "paid"})

    assert [each.id for each in of_customer.data] == [paid.id, draft.id]
    assert [each.id for each in only_paid.data] == [paid.id]
    assert client.v1.invoices.list({"customer": customer.id, "created": {"lt": draft.created - 10}}).data == []
    late = cast("InvoiceListParams", {"status": "late"})
    with pytest.raises(stripe.InvalidRequestError, match="must be one of draft, open, void, paid, or uncollectible"):
        client.v1.invoices.list(late)


def test_invoices_are_searched(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    small, large = draft_of(client, customer, 1000), draft_of(client, customer, 9000)
    client.v1.invoices.update(large.id, {"metadata": {"po": "77"}})
    paid = client.v1.invoices.pay(small.id)

    def found(query: str) -> list[str]:
        return [str(each.id) for each in client.v1.invoices.search({"query": query}).data]

    assert found(f"customer:'{customer.id}' AND total>5000") == [large.id]
    assert found(f"number:'{paid.number}'") == [small.id]
    assert found(f"customer:'{customer.id}' AND metadata['po']:'77'") == [large.id]
    assert found(f"customer:'{customer.id}' AND -status:'draft'") == [small.id]


def test_one_line_of_a_draft_is_changed(client: stripe.StripeClient) -> None:
    draft = draft_of(client, customer_with(client), 1000)
    [line] = draft.lines.data

    changed = client.v1.invoices.line_items.update(
        draft.id, line.id, {"amount": 700, "description": "Less", "metadata": {"why": "goodwill"}}
    )

    assert (changed.id, changed.amount, changed.description) == (line.id, 700, "Less")
    assert _plain(changed.metadata) == {"why": "goodwill"}
    assert client.v1.invoices.retrieve(draft.id).total == 700
    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.v1.invoices.line_items.update(draft.id, "il_nope", {"amount": 1})
    assert missing.value.http_status == 404


def test_a_customer_and_a_card_come_along_when_asked(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    paid = client.v1.invoices.pay(
        draft_of(client, customer, 1000).id, {"expand": ["customer.invoice_settings.default_payment_method"]}
    )

    assert isinstance(paid.customer, stripe.Customer)
    assert paid.customer.id == customer.id


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"default_tax_rates": ["txr_1"]}, "default_tax_rates[0]"),
        ({"automatic_tax": {"enabled": True}}, "automatic_tax[enabled]"),
        ({"transfer_data": {"destination": "acct_1"}}, "transfer_data"),
        ({"from_invoice": {"action": "revision", "invoice": "in_1"}}, "from_invoice"),
    ],
)
def test_what_is_not_offered_is_refused_by_name(
    client: stripe.StripeClient, params: dict[str, object], param: str
) -> None:
    customer = customer_with(client)

    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.invoices.create(cast("InvoiceCreateParams", {"customer": customer.id, **params}))

    assert refused.value.param == param


def test_what_is_not_offered_passes_when_it_is_off(client: stripe.StripeClient) -> None:
    customer = customer_with(client)

    draft = client.v1.invoices.create(
        {"customer": customer.id, "discounts": "", "automatic_tax": {"enabled": False}, "default_tax_rates": []}
    )

    assert draft.automatic_tax.enabled is False
    assert draft.discounts == []
