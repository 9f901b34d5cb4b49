"""Billing credits through the official SDK: granted, used by invoices in their order, given back, expired."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import stripe

from tests.wire import working
from tests.wire.billing import Month
from tests.wire.typed import assert_typed

JUNE = datetime(2026, 6, 1, tzinfo=UTC)
JULY = datetime(2026, 7, 1, tzinfo=UTC)
METERED = {"scope": {"price_type": "metered"}}


def grant(
    client: stripe.StripeClient, customer: str, value: int, *, currency: str = "usd", **more: object
) -> stripe.billing.CreditGrant:
    amount = {"type": "monetary", "monetary": {"currency": currency, "value": value}}
    asked = {"amount": amount, "applicability_config": METERED, "customer": customer} | more
    return client.v1.billing.credit_grants.create(asked)  # type: ignore[arg-type]


def balance(client: stripe.StripeClient, customer: str) -> tuple[int, int]:
    """Available and in all, in usd."""
    scope = {"type": "applicability_scope", "applicability_scope": {"price_type": "metered"}}
    summary = client.v1.billing.credit_balance_summary.retrieve(
        {"customer": customer, "filter": scope}  # type: ignore[typeddict-item]
    )
    assert_typed(summary)
    [usd] = summary.balances
    assert usd.available_balance.monetary is not None and usd.ledger_balance.monetary is not None
    return usd.available_balance.monetary.value, usd.ledger_balance.monetary.value


def used(client: stripe.StripeClient, grant: stripe.billing.CreditGrant) -> list[tuple[str, str, int]]:
    """What happened to a grant, oldest first: kind, what for, how much."""
    found = client.v1.billing.credit_balance_transactions.list(
        {"customer": str(grant.customer), "credit_grant": grant.id}
    )
    assert_typed(found)
    told = []
    for each in reversed(found.data):
        side = each.credit or each.debit
        assert side is not None and side.amount.monetary is not None
        told.append((str(each.type), side.type, side.amount.monetary.value))
    return told


@pytest.fixture(scope="module", autouse=True)
def worker(dsn: str) -> Iterator[None]:
    """Somebody has to do what falls due."""
    with working.running(dsn):
        yield


@pytest.fixture
def month(client: stripe.StripeClient) -> Month:
    """A subscriber who owes $50.00 of tokens and has two seats, at the end of June."""
    opened = Month(client, start=JUNE)
    opened.subscribe(seats=2)
    return opened


def worked(month: Month, tokens: int) -> None:
    """The customer has used that many tokens by the tenth of June."""
    month.advance(JUNE + timedelta(days=9))
    month.use(tokens, at=JUNE + timedelta(days=8))


def test_a_grant_is_what_was_asked_and_shows_its_balance(client: stripe.StripeClient, month: Month) -> None:
    made = grant(client, month.customer.id, 1000, name="Welcome", category="promotional", metadata={"k": "v"})
    assert_typed(made)
    assert (made.priority, made.category, made.expires_at, made.voided_at) == (50, "promotional", None, None)
    assert client.v1.billing.credit_grants.retrieve(made.id) == made
    assert client.v1.billing.credit_grants.list({"customer": month.customer.id}).data == [made]
    assert balance(client, month.customer.id) == (1000, 1000)
    assert used(client, made) == [("credit", "credits_granted", 1000)]


def test_credits_pay_metered_lines_only_and_before_the_customer_balance(
    client: stripe.StripeClient, month: Month
) -> None:
    given = grant(client, month.customer.id, 3000)
    client.v1.customers.balance_transactions.create(month.customer.id, {"amount": -1000, "currency": "usd"})
    worked(month, 150_000)

    preview = client.v1.invoices.create_preview({"subscription": month.subscription.id})
    assert (preview.subtotal, preview.total, preview.amount_due) == (9000, 6000, 5000)
    assert balance(client, month.customer.id) == (3000, 3000)

    month.advance(JULY + timedelta(minutes=30))
    draft = month.latest_invoice()
    assert (draft.status, draft.total, balance(client, month.customer.id)) == ("draft", 6000, (3000, 3000))

    month.advance(JULY + timedelta(hours=2))
    invoice = month.latest_invoice()
    assert_typed(invoice)
    assert (invoice.status, invoice.subtotal, invoice.total, invoice.amount_paid) == ("paid", 9000, 6000, 5000)
    [credit] = invoice.total_pretax_credit_amounts or []
    assert (credit.type, credit.amount) == ("credit_balance_transaction", 3000)
    credited = [line for line in invoice.lines.data if line.pretax_credit_amounts]
    assert [line.pricing.price_details.price for line in credited if line.pricing and line.pricing.price_details] == [
        month.tokens.id
    ]
    transaction = client.v1.billing.credit_balance_transactions.retrieve(str(credit.credit_balance_transaction))
    assert transaction.debit is not None and transaction.debit.credits_applied is not None
    assert transaction.debit.credits_applied.invoice == invoice.id
    assert transaction.debit.credits_applied.invoice_line_item == credited[0].id
    assert used(client, given)[-1] == ("debit", "credits_applied", 3000)
    assert balance(client, month.customer.id) == (0, 0)


def test_grants_burn_by_priority_then_end_then_gifts_then_effect_then_age(
    client: stripe.StripeClient, month: Month
) -> None:
    late, soon = int((JULY + timedelta(days=90)).timestamp()), int((JULY + timedelta(days=30)).timestamp())
    early = int((JUNE - timedelta(days=1)).timestamp())
    in_order: list[dict[str, Any]] = [
        {"priority": 1},
        {"expires_at": soon},
        {"expires_at": late, "category": "promotional"},
        {"expires_at": late, "effective_at": early},
        {"expires_at": late},
        {"category": "promotional"},
        {},
        {"priority": 90, "category": "promotional"},
    ]
    made = {place: grant(client, month.customer.id, 500, **in_order[place]) for place in (7, 3, 5, 0, 4, 6, 1, 2)}
    worked(month, 135_000)
    month.advance(JULY + timedelta(hours=2))
    invoice = month.latest_invoice()
    assert invoice.total == 4000
    order = [
        str(client.v1.billing.credit_balance_transactions.retrieve(str(each.credit_balance_transaction)).credit_grant)
        for each in invoice.total_pretax_credit_amounts or []
    ]
    assert order == [made[place].id for place in range(7)]
    assert balance(client, month.customer.id) == (500, 500)


def test_a_grant_counts_for_invoices_whose_period_ends_while_it_is_in_force(
    client: stripe.StripeClient, month: Month
) -> None:
    too_late = grant(client, month.customer.id, 700, effective_at=int((JULY + timedelta(seconds=1)).timestamp()))
    just_over = grant(client, month.customer.id, 700, expires_at=int(JULY.timestamp()))
    in_time = grant(client, month.customer.id, 700, effective_at=int(JULY.timestamp()))
    worked(month, 150_000)
    month.advance(JULY + timedelta(hours=2))
    assert month.latest_invoice().total == 9000 - 700
    assert [kind for _, kind, _ in used(client, too_late)] == ["credits_granted"]
    assert [kind for _, kind, _ in used(client, just_over)] == ["credits_granted", "credits_expired"]
    assert [kind for _, kind, _ in used(client, in_time)] == ["credits_granted", "credits_applied"]
    assert balance(client, month.customer.id) == (700, 700)


def test_a_grant_limited_to_prices_pays_those_only(client: stripe.StripeClient, month: Month) -> None:
    other = client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 1,
            "recurring": {"interval": "month", "usage_type": "metered", "meter": month.meter.id},
            "product_data": {"name": "Others"},
        }
    )
    grant(client, month.customer.id, 900, applicability_config={"scope": {"prices": [{"id": other.id}]}})
    mine = grant(client, month.customer.id, 800, applicability_config={"scope": {"prices": [{"id": month.tokens.id}]}})
    worked(month, 150_000)
    month.advance(JULY + timedelta(hours=2))
    assert month.latest_invoice().total == 9000 - 800
    assert used(client, mine)[-1] == ("debit", "credits_applied", 800)


def test_voiding_an_invoice_gives_its_credits_back_and_what_has_expired_lapses(client: stripe.StripeClient) -> None:
    month = Month(client, start=JUNE, card=None)
    month.subscription = client.v1.subscriptions.create(
        {
            "customer": month.customer.id,
            "items": [{"price": month.tokens.id}],
            "collection_method": "send_invoice",
            "days_until_due": 30,
        }
    )
    kept = grant(client, month.customer.id, 1000)
    ending = grant(client, month.customer.id, 500, expires_at=int((JULY + timedelta(days=2)).timestamp()))
    worked(month, 150_000)
    month.advance(JULY + timedelta(hours=2))
    invoice = month.latest_invoice()
    assert (invoice.status, invoice.total) == ("open", 3500)
    month.advance(JULY + timedelta(days=3))

    client.v1.invoices.void_invoice(invoice.id)

    assert used(client, kept)[-1] == ("credit", "credits_application_invoice_voided", 1000)
    assert used(client, ending)[-2:] == [
        ("credit", "credits_application_invoice_voided", 500),
        ("debit", "credits_expired", 500),
    ]
    assert balance(client, month.customer.id) == (1000, 1000)


def test_expiring_and_voiding_end_a_grant_and_are_refused_after_the_end(
    client: stripe.StripeClient, month: Month
) -> None:
    expired = client.v1.billing.credit_grants.expire(grant(client, month.customer.id, 100).id)
    assert expired.expires_at == int(JUNE.timestamp())
    assert used(client, expired)[-1] == ("debit", "credits_expired", 100)
    voided = client.v1.billing.credit_grants.void_grant(grant(client, month.customer.id, 100).id)
    assert voided.voided_at == int(JUNE.timestamp())
    assert used(client, voided)[-1] == ("debit", "credits_voided", 100)
    assert balance(client, month.customer.id) == (0, 0)
    for gone in (expired, voided):
        for act in (client.v1.billing.credit_grants.expire, client.v1.billing.credit_grants.void_grant):
            with pytest.raises(stripe.InvalidRequestError, match=r"has (expired|been voided)"):
                act(gone.id)


def test_a_used_grant_is_not_voided(client: stripe.StripeClient, month: Month) -> None:
    given = grant(client, month.customer.id, 9000)
    worked(month, 150_000)
    month.advance(JULY + timedelta(hours=2))
    with pytest.raises(stripe.InvalidRequestError, match="has been applied"):
        client.v1.billing.credit_grants.void_grant(given.id)
    assert balance(client, month.customer.id) == (4000, 4000)


def test_the_end_of_a_grant_moves_and_goes(client: stripe.StripeClient, month: Month) -> None:
    given = grant(client, month.customer.id, 300, expires_at=int((JUNE + timedelta(days=5)).timestamp()))
    endless = client.v1.billing.credit_grants.update(given.id, {"expires_at": "", "metadata": {"order": "7"}})
    assert endless.expires_at is None
    assert endless.metadata.to_dict() == {"order": "7"}
    month.advance(JUNE + timedelta(days=6))
    assert balance(client, month.customer.id) == (300, 300)
    soon = int((JUNE + timedelta(days=8)).timestamp())
    client.v1.billing.credit_grants.update(given.id, {"expires_at": soon})
    month.advance(JUNE + timedelta(days=9))
    assert balance(client, month.customer.id) == (0, 0)


REFUSED: dict[str, dict[str, Any]] = {
    "value": {"amount": {"type": "monetary", "monetary": {"currency": "usd", "value": 0}}},
    "negative": {"amount": {"type": "monetary", "monetary": {"currency": "usd", "value": -5}}},
    "currency": {"amount": {"type": "monetary", "monetary": {"currency": "xxx", "value": 5}}},
    "type": {"amount": {"type": "custom", "monetary": {"currency": "usd", "value": 5}}},
    "no amount": {"amount": {"type": "monetary"}},
    "no scope": {"applicability_config": {"scope": {}}},
    "two scopes": {"applicability_config": {"scope": {"price_type": "metered", "prices": [{"id": "price_x"}]}}},
    "unknown price": {"applicability_config": {"scope": {"prices": [{"id": "price_x"}]}}},
    "priority": {"priority": 101},
    "category": {"category": "gift"},
    "end": {"expires_at": int((JUNE - timedelta(days=1)).timestamp())},
    "backwards": {
        "effective_at": int((JUNE + timedelta(days=2)).timestamp()),
        "expires_at": int((JUNE + timedelta(days=1)).timestamp()),
    },
    "name": {"name": "x" * 101},
    "customer": {"customer": "cus_nobody"},
    "unknown": {"colour": "green"},
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_grant_that_cannot_be_is_refused(client: stripe.StripeClient, month: Month, why: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        grant(client, **{"customer": month.customer.id, "value": 5, **REFUSED[why]})
    assert refused.value.http_status == 400
    assert client.v1.billing.credit_grants.list({"customer": month.customer.id}).data == []


def test_a_licensed_price_takes_no_credits(client: stripe.StripeClient, month: Month) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="metered"):
        grant(client, month.customer.id, 5, applicability_config={"scope": {"prices": [{"id": month.seat.id}]}})


def test_a_customer_has_at_most_a_hundred_unused_grants(client: stripe.StripeClient, month: Month) -> None:
    made = [grant(client, month.customer.id, 1) for _ in range(100)]
    with pytest.raises(stripe.InvalidRequestError, match="at most 100"):
        grant(client, month.customer.id, 1)
    client.v1.billing.credit_grants.expire(made[0].id)
    assert grant(client, month.customer.id, 1).id
    assert all(newer.created >= older.created for older, newer in pairwise(made))
