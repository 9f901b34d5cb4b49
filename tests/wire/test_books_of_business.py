"""The books follow the business: whatever is done over HTTP, they add up, and say what the objects say."""

import asyncio
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import stripe
from sqlalchemy import text

from meterline.cli.books import audited, written
from meterline.store import invariant
from meterline.store.database import Database
from tests.wire import working
from tests.wire.billing import Month, customer_with, draft_of
from tests.wire.test_credits import JUNE, grant

STEPS = 200
CARDS = ["pm_card_visa", "pm_card_chargeCustomerFail", "pm_card_mastercard", "pm_card_createDispute"]


@pytest.fixture(scope="module", autouse=True)
def worker(dsn: str) -> Iterator[None]:
    """Somebody has to do what falls due."""
    with working.running(dsn):
        yield


def standing(dsn: str) -> dict[tuple[str, str], Decimal]:
    """What each customer's accounts stand at in usd, by customer's public id and account; credits positive."""

    async def read() -> dict[tuple[str, str], Decimal]:
        connection = await asyncpg.connect(dsn)
        try:
            rows = await connection.fetch(
                "SELECT customer.id, kind, posted FROM ledger_account"
                " JOIN customer USING (customer_id) WHERE asset = 'USD'"
            )
        finally:
            await connection.close()
        return {(row[0], row[1]): row[2] for row in rows}

    return asyncio.run(read())


class Business:
    """Random business of a few customers."""

    def __init__(self, client: stripe.StripeClient, chance: random.Random) -> None:
        self.client, self.chance = client, chance
        standings = ["none", "none", "exempt", "reverse"]
        self.customers = [
            customer_with(client, card, tax_exempt=standing) for card, standing in zip(CARDS, standings, strict=True)
        ]
        self.rates = [
            client.v1.tax_rates.create({"display_name": "VAT", "inclusive": inclusive, "percentage": percentage}).id
            for inclusive, percentage in ((False, 8.25), (True, 19), (False, 3))
        ]

    def step(self) -> None:
        """Do one thing; being refused is business too."""
        acts: list[Callable[[], Any]] = [
            self.bill, self.bill, self.bill, self.pay, self.pay, self.pay_outside, self.void, self.write_off,
            self.adjust, self.refund, self.charge, self.give_credits, self.end_credits, self.lose_dispute,
            self.credit, self.credit, self.give_back, self.give_back, self.take_credit_back,
        ]  # fmt: skip
        try:
            self.chance.choice(acts)()
        except (stripe.CardError, stripe.InvalidRequestError):
            return

    def bill(self) -> None:
        amounts = [self.chance.choice([-700, 20, 900, 1234, 5001]) for _ in range(self.chance.randrange(1, 4))]
        rates = self.chance.sample(self.rates, self.chance.randrange(0, 4))
        draft = draft_of(self.client, self.customer(), *amounts, default_tax_rates=rates)
        self.client.v1.invoices.finalize_invoice(draft.id)

    def customer(self) -> stripe.Customer:
        return self.chance.choice(self.customers)

    def invoice(self, *states: str) -> str:
        found = [each for each in self.client.v1.invoices.list({"limit": 100}).data if each.status in states]
        return self.chance.choice(found).id if found else "in_none"

    def pay(self) -> None:
        self.client.v1.invoices.pay(self.invoice("open", "uncollectible"))

    def pay_outside(self) -> None:
        self.client.v1.invoices.pay(self.invoice("open", "uncollectible"), {"paid_out_of_band": True})

    def void(self) -> None:
        self.client.v1.invoices.void_invoice(self.invoice("open", "uncollectible"))

    def write_off(self) -> None:
        self.client.v1.invoices.mark_uncollectible(self.invoice("open"))

    def adjust(self) -> None:
        self.client.v1.customers.balance_transactions.create(
            self.customer().id, {"amount": self.chance.randrange(-3000, 3000), "currency": "usd"}
        )

    def refund(self) -> None:
        charges = [each for each in self.client.v1.charges.list({"limit": 100}).data if each.paid]
        charge = self.chance.choice(charges).id if charges else "ch_none"
        self.client.v1.refunds.create({"charge": charge, "amount": self.chance.randrange(1, 900)})

    def credit(self) -> None:
        """Lower an open invoice, sometimes by all that is left of it."""
        invoice = self.client.v1.invoices.retrieve(self.invoice("open"))
        amount = self.chance.choice([invoice.amount_remaining, self.chance.randrange(1, 700)])
        self.client.v1.credit_notes.create({"invoice": str(invoice.id), "amount": amount})

    def give_back(self) -> None:
        """Give a part of a paid invoice back, in some of the ways or all of them at once."""
        found = [each for each in self.client.v1.invoices.list({"limit": 100}).data if each.amount_paid]
        invoice = str(self.chance.choice(found).id) if found else "in_none"
        ways = ["refund_amount", "credit_amount", "out_of_band_amount"]
        parts = {way: self.chance.randrange(1, 200) for way in self.chance.sample(ways, self.chance.randrange(1, 4))}
        asked: Any = {"invoice": invoice, "amount": sum(parts.values()), **parts}
        self.client.v1.credit_notes.create(asked)

    def take_credit_back(self) -> None:
        notes = self.client.v1.credit_notes.list({"limit": 100}).data
        self.client.v1.credit_notes.void_credit_note(self.chance.choice(notes).id if notes else "cn_none")

    def charge(self) -> None:
        self.client.v1.payment_intents.create(
            {"amount": 4321, "currency": "usd", "customer": self.customer().id, "payment_method": "pm_card_visa",
             "confirm": True}
        )  # fmt: skip

    def give_credits(self) -> None:
        kind = self.chance.choice(["paid", "promotional"])
        grant(self.client, self.customer().id, self.chance.randrange(1, 5000), category=kind)

    def end_credits(self) -> None:
        grants = self.client.v1.billing.credit_grants.list({"limit": 100}).data
        id = self.chance.choice(grants).id if grants else "credgr_none"
        grants_of = self.client.v1.billing.credit_grants
        self.chance.choice([grants_of.expire, grants_of.void_grant])(id)

    def lose_dispute(self) -> None:
        disputes = self.client.v1.disputes.list({"limit": 100}).data
        self.client.v1.disputes.close(self.chance.choice(disputes).id if disputes else "du_none")


def cents(amount: int) -> Decimal:
    return Decimal(amount).scaleb(-2)


def test_whatever_is_done_the_books_say_what_the_objects_say(
    client: stripe.StripeClient, raw: httpx.Client, dsn: str, tmp_path: Path
) -> None:
    business = Business(client, random.Random(4))
    for _ in range(STEPS):
        business.step()

    kinds = {(each.type, each.status) for each in client.v1.credit_notes.list({"limit": 100}).data}
    assert kinds >= {("pre_payment", "issued"), ("post_payment", "issued"), ("pre_payment", "void")}
    books = standing(dsn)
    for customer in business.customers:
        invoices = client.v1.invoices.list({"customer": customer.id, "limit": 100}).data
        owed = sum(each.amount_remaining for each in invoices if each.status == "open")
        assert -books.get((customer.id, "receivable"), Decimal(0)) == cents(owed)
        balance = client.v1.customers.retrieve(customer.id).balance or 0
        assert books.get((customer.id, "customer_balance"), Decimal(0)) == cents(-balance)
        for category in ("paid", "promotional"):
            grants = client.v1.billing.credit_grants.list({"customer": customer.id, "limit": 100}).data
            alive = [each for each in grants if each.category == category and each.voided_at is None]
            left = sum(each.amount.monetary.value for each in alive if each.amount.monetary and each.expires_at is None)
            assert books.get((customer.id, f"credit_{category}"), Decimal(0)) == cents(left)
        taken = client.v1.charges.list({"customer": customer.id, "limit": 100}).data
        held = sum(each.amount_captured - each.amount_refunded for each in taken if each.paid and not each.disputed)
        assert -books.get((customer.id, "clearing:test"), Decimal(0)) == cents(held)
    assert_audited(dsn, tmp_path)
    report = raw.get("/ops/invariants").json()
    assert {each["name"]: each["rows"] for each in report["data"] if not each["holds"]} == {}


@pytest.mark.parametrize(
    ("tampering", "noticed"),
    [
        (
            "UPDATE ledger_account SET posted = posted + 1 WHERE kind = 'revenue'",
            {"books_balanced", "balances_are_folds"},
        ),
        (
            "UPDATE invoice SET status = 'open', amount_remaining = 7 WHERE status = 'paid'",
            {"receivable_is_open_invoices"},
        ),
        ("UPDATE customer SET balance = balance + 5 WHERE currency IS NOT NULL", {"customer_balances_booked"}),
        ("UPDATE payment SET amount_received = amount_received + 1 WHERE status = 'succeeded'", {"clearing_explained"}),
        ("UPDATE payment_attempt SET amount_refunded = amount_captured + 1 WHERE captured", {"refunds_bounded"}),
        ("UPDATE credit_note SET total = total + 1", {"credit_notes_booked"}),
        ("UPDATE credit_note SET pre_payment = pre_payment + 1", {"credit_notes_counted"}),
        ("UPDATE statement_line SET amount = amount + 1 WHERE type = 'charge'", {"clearing_is_the_statement"}),
        ("UPDATE payment_attempt SET outcome = NULL, created = '2020-01-01Z'", {"answers_known"}),
    ],
)
def test_tampering_is_noticed(client: stripe.StripeClient, dsn: str, tampering: str, noticed: set[str]) -> None:
    invoice = client.v1.invoices.finalize_invoice(draft_of(client, customer_with(client), 900).id)
    client.v1.credit_notes.create({"invoice": str(invoice.id), "amount": 100})
    client.v1.invoices.pay(str(invoice.id))
    assert asyncio.run(violated_after(dsn, tampering)) == noticed


async def violated_after(dsn: str, tampering: str) -> set[str]:
    """The invariants that do not hold once somebody has changed the data by hand; undone at the end."""
    database = Database(dsn)
    async with database.begin() as tx:
        await tx.execute(text(tampering))
        found = [await invariant.check(tx, "test", each, now=datetime.now(UTC)) for each in invariant.INVARIANTS]
        await tx.rollback()
    await database.close()
    return {each.invariant.name for each in found if each.violations}


def assert_audited(dsn: str, directory: Path) -> None:
    """Both audits pass: ours, and that of a program that we did not write."""
    count, violations = asyncio.run(audited(dsn))
    assert (count > 0, violations) == (True, [])
    journal = directory / "books.beancount"
    assert asyncio.run(written(dsn, "test", journal)) == count
    checked = subprocess.run(
        [Path(sys.executable).with_name("bean-check"), journal], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_year_of_subscriptions_on_a_test_clock_adds_up(client: stripe.StripeClient, dsn: str, tmp_path: Path) -> None:
    chance = random.Random(12)
    month = Month(client, start=JUNE)
    month.subscribe(seats=2)
    grant(client, month.customer.id, 3000, category="promotional", expires_at=int(JUNE.replace(month=9).timestamp()))
    now = JUNE
    for number in range(12):
        following = now.replace(year=now.year + now.month // 12, month=now.month % 12 + 1)
        month.advance(now.replace(day=15))
        month.use(chance.randrange(0, 300_000), at=now.replace(day=14))
        if number in (3, 4):
            month.pay_with("pm_card_chargeCustomerFail" if number == 3 else "pm_card_visa")
        month.advance(following.replace(hour=2))
        now = following
    invoices = client.v1.invoices.list({"customer": month.customer.id, "limit": 100}).data
    assert len(invoices) == 13
    books = standing(dsn)
    assert -books[month.customer.id, "receivable"] == cents(
        sum(each.amount_remaining for each in invoices if each.status == "open")
    )
    assert books.get((month.customer.id, "credit_promotional"), Decimal(0)) == 0
    issued = [each for each in invoices if each.status != "draft"]
    assert books[month.customer.id, "revenue"] == cents(sum(each.subtotal for each in issued))
    assert_audited(dsn, tmp_path)
