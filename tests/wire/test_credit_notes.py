"""Credit notes through the official SDK: open and paid invoices lowered, money given back, notes voided and listed."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import stripe

from tests.wire import working
from tests.wire.billing import Month, customer_with, draft_of
from tests.wire.selling import error
from tests.wire.test_credits import JULY, JUNE, grant
from tests.wire.test_payments import NOT_OFFERED, ONLY_OTHER_REFUNDS
from tests.wire.typed import assert_typed


@pytest.fixture(scope="module", autouse=True)
def worker(dsn: str) -> Iterator[None]:
    """Somebody has to advance test clocks."""
    with working.running(dsn):
        yield


def opened(client: stripe.StripeClient, *amounts: int, **more: Any) -> stripe.Invoice:
    """An open invoice of a new customer."""
    return client.v1.invoices.finalize_invoice(draft_of(client, customer_with(client), *amounts, **more).id)


def paid(client: stripe.StripeClient, *amounts: int) -> stripe.Invoice:
    """A paid invoice of a new customer."""
    return client.v1.invoices.pay(opened(client, *amounts).id)


def credit(client: stripe.StripeClient, invoice: stripe.Invoice, **asked: Any) -> stripe.CreditNote:
    note = client.v1.credit_notes.create({"invoice": str(invoice.id), **asked})  # type: ignore[typeddict-item]
    assert_typed(note, absent=[f"refund.{name}" for name in (*NOT_OFFERED, *ONLY_OTHER_REFUNDS)])
    return note


def again(client: stripe.StripeClient, invoice: stripe.Invoice) -> stripe.Invoice:
    return client.v1.invoices.retrieve(str(invoice.id))


def refused(call: Callable[[], Any]) -> tuple[int | None, str | None, str | None, str]:
    with pytest.raises(stripe.InvalidRequestError) as told:
        call()
    return error(told)


def metadata_of(note: stripe.CreditNote) -> dict[str, str]:
    return {} if note.metadata is None else note.metadata.to_dict()


def told(client: stripe.StripeClient, id: str) -> list[str]:
    """The types of the events about an object, oldest first."""
    found = [each for each in client.v1.events.list({"limit": 100}).data if each.data.object["id"] == id]
    return [each.type for each in reversed(found)]


def test_a_note_on_an_open_invoice_lowers_what_is_left_to_pay(client: stripe.StripeClient) -> None:
    invoice = opened(client, 10000)

    note = credit(client, invoice, amount=2000, memo="Sorry", reason="product_unsatisfactory", metadata={"case": "7"})

    assert (note.amount, note.total, note.type, note.status) == (2000, 2000, "pre_payment", "issued")
    assert (note.pre_payment_amount, note.post_payment_amount) == (2000, 0)
    assert note.number == f"{invoice.number}-CN-01"
    assert (note.memo, note.reason, metadata_of(note)) == ("Sorry", "product_unsatisfactory", {"case": "7"})
    after = again(client, invoice)
    assert (after.status, after.total) == ("open", 10000)
    assert (after.amount_due, after.amount_remaining, after.pre_payment_credit_notes_amount) == (8000, 8000, 2000)
    assert told(client, note.id) == ["credit_note.created"]
    assert told(client, str(invoice.id))[-1] == "invoice.updated"


def test_what_is_collected_afterwards_is_the_rest(client: stripe.StripeClient) -> None:
    invoice = opened(client, 10000)
    credit(client, invoice, amount=2000)

    done = client.v1.invoices.pay(str(invoice.id), {"expand": ["payments.data.payment.payment_intent"]})

    assert (done.status, done.amount_paid, done.amount_remaining) == ("paid", 8000, 0)
    assert done.payments is not None
    [payment] = done.payments.data
    intent = payment.payment.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert (payment.amount_requested, intent.amount, intent.amount_received) == (8000, 8000, 8000)


def test_an_invoice_credited_whole_is_paid_and_asked_for_no_more(client: stripe.StripeClient) -> None:
    invoice = opened(client, 900, 100)
    credit(client, invoice, amount=400)

    credit(client, invoice, amount=600)

    after = again(client, invoice)
    assert (after.status, after.amount_paid, after.amount_due, after.amount_remaining) == ("paid", 0, 0, 0)
    assert after.status_transitions.paid_at is not None
    assert "invoice.paid" in told(client, str(invoice.id))
    [link] = client.v1.invoice_payments.list({"invoice": str(invoice.id)}).data
    assert link.status == "canceled"
    assert refused(lambda: client.v1.invoices.pay(str(invoice.id)))[3] == "Invoice is already paid"


def test_a_paid_invoice_is_given_back_in_any_mixture(client: stripe.StripeClient) -> None:
    invoice = paid(client, 10000)

    note = credit(
        client, invoice, amount=6000, refund_amount=3000, credit_amount=2000, out_of_band_amount=1000,
        reason="duplicate", expand=["refunds.refund", "customer_balance_transaction", "invoice", "customer"],
    )  # fmt: skip

    assert (note.type, note.post_payment_amount, note.out_of_band_amount) == ("post_payment", 6000, 1000)
    [linked] = note.refunds
    assert isinstance(linked.refund, stripe.Refund)
    assert (linked.amount_refunded, linked.refund.amount, linked.refund.status) == (3000, 3000, "succeeded")
    assert linked.refund.reason == "duplicate"
    entry = note.customer_balance_transaction
    assert isinstance(entry, stripe.CustomerBalanceTransaction)
    assert (entry.amount, entry.type, entry.credit_note, entry.ending_balance) == (-2000, "credit_note", note.id, -2000)
    assert isinstance(note.customer, stripe.Customer) and note.customer.balance == -2000
    assert isinstance(note.invoice, stripe.Invoice)
    assert (note.invoice.status, note.invoice.amount_due, note.invoice.amount_paid) == ("paid", 10000, 10000)
    assert note.invoice.post_payment_credit_notes_amount == 6000
    [charge] = client.v1.charges.list({"customer": note.customer.id}).data
    assert charge.amount_refunded == 3000


def test_a_refund_made_before_is_linked_or_counts_against_what_can_be_credited(client: stripe.StripeClient) -> None:
    invoice = paid(client, 1000)
    [charge] = client.v1.charges.list({"customer": str(invoice.customer)}).data
    refund = client.v1.refunds.create({"charge": charge.id, "amount": 400})

    status, _, param, message = refused(lambda: credit(client, invoice, amount=700, credit_amount=700))
    assert (status, param) == (400, "amount") and "$6.00" in message
    note = credit(client, invoice, amount=1000, credit_amount=600, refunds=[{"refund": refund.id}])
    assert [(each.refund, each.amount_refunded) for each in note.refunds] == [(refund.id, 400)]
    assert client.v1.charges.retrieve(charge.id).amount_refunded == 400
    over = refused(lambda: credit(client, invoice, amount=100, refunds=[{"refund": refund.id}]))
    assert (over[0], over[2]) == (400, "refunds[0][refund]")


def test_lines_are_credited_by_amount_by_quantity_and_in_words_of_their_own(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    draft = draft_of(client, customer, 5000)
    seats_of: Any = {"customer": customer.id, "invoice": draft.id, "currency": "usd", "quantity": 3}
    client.v1.invoice_items.create(seats_of | {"unit_amount_decimal": "250"})
    invoice = client.v1.invoices.finalize_invoice(draft.id)
    whole, seats = invoice.lines.data

    note = credit(
        client,
        invoice,
        lines=[
            {"type": "invoice_line_item", "invoice_line_item": whole.id, "amount": 1200},
            {"type": "invoice_line_item", "invoice_line_item": seats.id, "quantity": 2},
            {"type": "custom_line_item", "description": "For the trouble", "quantity": 3, "unit_amount_decimal": "0.5"},
        ],
    )

    assert note.total == 1200 + 500 + 2
    told_of = [(each.type, each.invoice_line_item, each.quantity, each.amount) for each in note.lines.data[:2]]
    assert told_of == [("invoice_line_item", whole.id, None, 1200), ("invoice_line_item", seats.id, 2, 500)]
    custom = note.lines.data[2]
    assert (custom.type, custom.description, custom.quantity, custom.amount) == (
        "custom_line_item", "For the trouble", 3, 2,
    )  # fmt: skip
    assert (custom.unit_amount, str(custom.unit_amount_decimal)) == (None, "0.5")
    listed = client.v1.credit_notes.line_items.list(note.id, {"limit": 2})
    assert [each.id for each in listed.auto_paging_iter()] == [each.id for each in note.lines.data]
    assert again(client, invoice).amount_remaining == invoice.total - 1702


def test_credits_that_paid_a_line_do_not_come_back(client: stripe.StripeClient) -> None:
    month = Month(client, start=JUNE)
    month.subscribe(seats=0)
    grant(client, month.customer.id, 1000)
    month.advance(JUNE.replace(day=15))
    month.use(150_000, at=JUNE.replace(day=10))
    month.advance(JULY.replace(hour=2))
    invoice = client.v1.invoices.retrieve(
        str(month.latest_invoice().id), {"expand": ["lines.data.pretax_credit_amounts"]}
    )
    billed = next(line for line in invoice.lines.data if line.amount)
    assert (invoice.subtotal, invoice.total, invoice.status) == (5000, 4000, "paid")

    note = credit(
        client,
        invoice,
        lines=[{"type": "invoice_line_item", "invoice_line_item": billed.id, "amount": 2500}],
        refund_amount=2000,
    )

    assert (note.subtotal, note.total) == (2500, 2000)
    [used] = note.pretax_credit_amounts
    assert (used.amount, used.type) == (500, "credit_balance_transaction")
    assert note.lines.data[0].pretax_credit_amounts[0].credit_balance_transaction == used.credit_balance_transaction
    [left] = client.v1.billing.credit_grants.list({"customer": month.customer.id}).data
    moved = client.v1.billing.credit_balance_transactions.list(
        {"customer": month.customer.id, "credit_grant": left.id}
    ).data
    assert [each.type for each in moved] == ["debit", "credit"]
    assert note.created == client.v1.test_helpers.test_clocks.retrieve(month.clock.id).frozen_time
    listed = client.v1.credit_notes.list({})
    assert note.id not in [each.id for each in listed.data]
    assert client.v1.credit_notes.list({"customer": month.customer.id}).data == [note]


def test_a_part_takes_its_tax_and_discount_along(client: stripe.StripeClient) -> None:
    rate = client.v1.tax_rates.create({"display_name": "VAT", "percentage": 19, "inclusive": False})
    off = client.v1.coupons.create({"percent_off": 10, "duration": "once"})
    customer = customer_with(client)
    terms: Any = {"default_tax_rates": [rate.id], "discounts": [{"coupon": off.id}]}
    invoice = client.v1.invoices.finalize_invoice(draft_of(client, customer, 10000, **terms).id)
    assert invoice.total == 9000 + 1710

    half: Any = {"type": "invoice_line_item", "invoice_line_item": invoice.lines.data[0].id, "amount": 5000}
    sorry: Any = {"type": "custom_line_item", "description": "Sorry", "unit_amount": 100, "tax_rates": [rate.id]}
    note = credit(client, invoice, lines=[half, sorry])

    first, second = note.lines.data
    assert (first.amount, first.discount_amount, [each.amount for each in first.taxes or []]) == (5000, 500, [855])
    assert (second.amount, [each.amount for each in second.taxes or []]) == (100, [19])
    assert [[each.id for each in line.tax_rates] for line in (first, second)] == [[rate.id], [rate.id]]
    assert (note.subtotal, note.discount_amount, note.total_excluding_tax, note.total) == (5100, 500, 4600, 5474)
    assert note.total_taxes is not None and [each.amount for each in note.total_taxes] == [874]
    rest = credit(client, invoice, amount=again(client, invoice).amount_remaining)
    assert (rest.total, again(client, invoice).status) == (10710 - 5474, "paid")
    unknown: Any = sorry | {"tax_rates": ["txr_nothing"]}
    assert refused(lambda: credit(client, opened(client, 500), lines=[unknown]))[2] == "lines[0][tax_rates][0]"


def test_a_preview_is_the_note_and_changes_nothing(client: stripe.StripeClient) -> None:
    invoice = paid(client, 1000, 500)
    asked: Any = {"invoice": invoice.id, "amount": 900, "refund_amount": 900}

    seen = client.v1.credit_notes.preview(asked)
    by_one: Any = asked | {"limit": 1}
    lines = list(client.v1.credit_notes.preview_lines.list(by_one).auto_paging_iter())
    assert_typed(seen)
    made = client.v1.credit_notes.create(asked)

    differs = {"id", "lines", "refunds", "pdf", "created", "effective_at"}
    plain, real = (each.to_dict(for_json=True) for each in (seen, made))
    assert {name: plain[name] for name in plain.keys() - differs} == {n: real[n] for n in real.keys() - differs}
    assert [(each.amount, each.invoice_line_item) for each in lines] == [
        (each.amount, each.invoice_line_item) for each in made.lines.data
    ]
    assert [each.amount for each in made.lines.data] == [600, 300]
    assert len(client.v1.refunds.list({"payment_intent": intent_of(client, invoice)}).data) == 1
    assert refused(lambda: client.v1.credit_notes.retrieve(seen.id))[0] == 404


def intent_of(client: stripe.StripeClient, invoice: stripe.Invoice) -> str:
    [link] = client.v1.invoice_payments.list({"invoice": str(invoice.id)}).data
    return str(link.payment.payment_intent)


def test_a_note_is_voided_while_its_invoice_is_open(client: stripe.StripeClient) -> None:
    invoice = opened(client, 1000)
    note = credit(client, invoice, amount=300)

    gone = client.v1.credit_notes.void_credit_note(note.id)

    assert_typed(gone)
    assert (gone.status, gone.voided_at is not None) == ("void", True)
    after = again(client, invoice)
    assert (after.amount_due, after.amount_remaining, after.pre_payment_credit_notes_amount) == (1000, 1000, 0)
    assert told(client, note.id) == ["credit_note.created", "credit_note.voided"]
    assert "already been voided" in refused(lambda: client.v1.credit_notes.void_credit_note(note.id))[3]
    second = credit(client, invoice, amount=200)
    assert second.number == f"{invoice.number}-CN-02"
    assert client.v1.invoices.pay(str(invoice.id)).amount_paid == 800
    assert "isn't open" in refused(lambda: client.v1.credit_notes.void_credit_note(second.id))[3]


def test_an_invoice_that_is_voided_takes_its_notes_along(client: stripe.StripeClient) -> None:
    invoice = opened(client, 1000)
    note = credit(client, invoice, amount=300)

    client.v1.invoices.void_invoice(str(invoice.id))

    assert client.v1.credit_notes.retrieve(note.id).status == "void"
    assert "void" in refused(lambda: credit(client, invoice, amount=1))[3]


def test_words_change_and_amounts_do_not(client: stripe.StripeClient) -> None:
    note = credit(client, opened(client, 1000), amount=300, memo="Sorry", metadata={"a": "1", "b": "2"})

    changed = client.v1.credit_notes.update(note.id, {"memo": "Very sorry", "metadata": {"a": "", "c": "3"}})

    assert (changed.memo, metadata_of(changed)) == ("Very sorry", {"b": "2", "c": "3"})
    newest = client.v1.events.list({"type": "credit_note.updated", "limit": 1}).data[0]
    assert newest.data.object["id"] == note.id
    assert newest.data.previous_attributes is not None
    assert newest.data.previous_attributes["memo"] == "Sorry"
    wrong: Any = {"amount": 5}
    assert refused(lambda: client.v1.credit_notes.update(note.id, wrong))[1] == "parameter_unknown"


@pytest.mark.parametrize(
    ("asked", "code", "param"),
    [
        ({"amount": 1001}, None, "amount"),
        ({"amount": 0}, None, "amount"),
        ({"amount": -1}, "parameter_invalid_integer", "amount"),
        ({}, "parameter_missing", "amount"),
        ({"amount": 500, "refund_amount": 500}, None, None),
        ({"amount": 500, "credit_amount": 1}, None, None),
        ({"amount": 500, "lines": [{"type": "custom_line_item", "description": "x", "unit_amount": 1}]}, None, "lines"),
        ({"lines": [{"type": "invoice_line_item", "amount": 1}]}, "parameter_missing", "lines[0][invoice_line_item]"),
        (
            {"lines": [{"type": "invoice_line_item", "invoice_line_item": "il_x", "amount": 1}]},
            "resource_missing",
            "lines[0][invoice_line_item]",
        ),
        ({"lines": [{"type": "custom_line_item", "amount": 1}]}, None, "lines[0][amount]"),
        ({"amount": 5, "refunds": [{"refund": "re_x"}]}, "resource_missing", "refunds[0][refund]"),
        ({"amount": 5, "shipping_cost": {"shipping_rate": "shr_1"}}, None, "shipping_cost"),
        ({"amount": 5, "reason": "whim"}, None, "reason"),
    ],
)
def test_notes_that_cannot_be_are_refused_and_change_nothing(
    client: stripe.StripeClient, asked: dict[str, Any], code: str | None, param: str | None
) -> None:
    invoice = opened(client, 1000)

    status, told_code, told_param, _ = refused(lambda: credit(client, invoice, **asked))

    assert (status, told_code, told_param) == (400, code, param)
    assert again(client, invoice) == invoice
    assert client.v1.credit_notes.list({"invoice": str(invoice.id)}).data == []


def test_only_what_is_owed_or_paid_can_be_credited(client: stripe.StripeClient) -> None:
    draft = draft_of(client, customer_with(client), 1000)
    assert "draft" in refused(lambda: credit(client, draft, amount=1))[3]
    written_off = client.v1.invoices.mark_uncollectible(str(opened(client, 1000).id))
    assert "uncollectible" in refused(lambda: credit(client, written_off, amount=1))[3]
    assert refused(lambda: client.v1.credit_notes.create({"invoice": "in_x", "amount": 1}))[:3] == (
        400, "resource_missing", "invoice",
    )  # fmt: skip


def test_nothing_is_refunded_that_no_charge_took(client: stripe.StripeClient) -> None:
    invoice = client.v1.invoices.pay(str(opened(client, 1000).id), {"paid_out_of_band": True})
    status, _, param, _ = refused(lambda: credit(client, invoice, amount=500, refund_amount=500))
    assert (status, param) == (400, "refund_amount")
    assert credit(client, invoice, amount=500, out_of_band_amount=500).post_payment_amount == 500


def test_a_disputed_charge_is_not_refunded_by_a_note(client: stripe.StripeClient) -> None:
    customer = customer_with(client, "pm_card_createDispute")
    invoice = client.v1.invoices.pay(draft_of(client, customer, 1000).id)
    assert refused(lambda: credit(client, invoice, amount=500, refund_amount=500))[1] == "charge_disputed"
    assert client.v1.credit_notes.list({"invoice": str(invoice.id)}).data == []


@pytest.mark.parametrize(("currency", "amount"), [("jpy", 1000), ("kwd", 1234)])
def test_currencies_without_and_with_three_decimals(client: stripe.StripeClient, currency: str, amount: int) -> None:
    customer = customer_with(client)
    draft = client.v1.invoices.create({"customer": customer.id, "currency": currency})
    client.v1.invoice_items.create(
        {"customer": customer.id, "invoice": draft.id, "amount": amount, "currency": currency}
    )
    invoice = client.v1.invoices.pay(draft.id)
    note = credit(client, invoice, amount=amount - 1, refund_amount=amount - 1)
    assert (note.currency, note.total) == (currency, amount - 1)


def test_notes_are_never_worth_more_than_their_invoice_however_many_come_at_once(
    client: stripe.StripeClient, dsn: str
) -> None:
    invoice = paid(client, 1000)
    outcomes: list[str] = []

    def one() -> None:
        try:
            credit(client, invoice, amount=300, refund_amount=200, credit_amount=100)
            outcomes.append("issued")
        except stripe.InvalidRequestError:
            outcomes.append("refused")

    callers = [threading.Thread(target=one) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    assert sorted(outcomes) == ["issued"] * 3 + ["refused"] * 5
    notes = client.v1.credit_notes.list({"invoice": str(invoice.id)}).data
    assert [each.number for each in notes] == [f"{invoice.number}-CN-0{n}" for n in (3, 2, 1)]
    assert again(client, invoice).post_payment_credit_notes_amount == 900
    assert client.v1.customers.retrieve(str(invoice.customer)).balance == -300


def test_lists_are_narrowed_and_keys_need_their_permission(
    client: stripe.StripeClient, base_url: str, add_key: Callable[..., str]
) -> None:
    invoice = opened(client, 1000)
    made = [credit(client, invoice, amount=100).id for _ in range(3)]
    assert [each.id for each in client.v1.credit_notes.list({"invoice": str(invoice.id)}).data] == made[::-1]
    found = client.v1.credit_notes.list({"customer": str(invoice.customer), "limit": 1, "starting_after": made[2]})
    assert [each.id for each in found.data] == [made[1]]
    assert client.v1.credit_notes.list({"created": {"gt": 4_000_000_000}}).data == []
    reading = add_key("rk_test_readsCreditNotes", kind="restricted", permissions={"credit_notes": "read"})
    with httpx.Client(base_url=base_url, headers={"authorization": f"Bearer {reading}"}) as reader:
        assert reader.get(f"/v1/credit_notes/{made[0]}").status_code == 200
        assert reader.post(f"/v1/credit_notes/{made[0]}/void").status_code == 403
        assert reader.get(f"/v1/credit_notes/{made[0]}", params={"expand[]": "invoice"}).status_code == 403
    other = add_key("sk_test_ofAnotherSandbox", environment="sandbox_other")
    with httpx.Client(base_url=base_url, headers={"authorization": f"Bearer {other}"}) as stranger:
        assert stranger.get(f"/v1/credit_notes/{made[0]}").status_code == 404
        wrong = stranger.post("/v1/credit_notes", data={"invoice": str(invoice.id), "amount": "1"})
        assert wrong.json()["error"]["code"] == "resource_missing"
