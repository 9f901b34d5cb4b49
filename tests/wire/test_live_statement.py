"""What a statement can say that the stand-in for Stripe never does: fees, money of others, payouts that come back."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import httpx
import stripe

from meterline.gateway.stripe_statement import Movement, PayoutNews, StripeStatement
from meterline.store import payment as payments
from meterline.store.database import Database
from meterline.usecase.reconcile_processor import reconcile
from tests.wire.live import SECRET, payer, work
from tests.wire.test_books_of_business import cents, standing
from tests.wire.test_live_cards import asked
from tests.wire.test_payouts import unbroken

NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass
class Account(StripeStatement):
    """An account whose statement is written here."""

    movements: list[Movement] = field(default_factory=list)
    payouts: list[PayoutNews] = field(default_factory=list)

    def movements_since(self, instant: datetime) -> Iterator[Movement]:  # noqa: ARG002
        yield from reversed(self.movements)

    def movements_in(self, payout: str) -> Iterator[Movement]:  # noqa: ARG002
        yield from reversed(self.movements)

    def payouts_since(self, instant: datetime) -> Iterator[PayoutNews]:  # noqa: ARG002
        yield from self.payouts


def read(dsn: str, account: Account, *, at: datetime = NOW) -> int:
    async def once() -> int:
        database = Database(dsn)
        await database.open()
        found = await reconcile(database, account, now=at)
        await database.close()
        return found

    return asyncio.run(once())


def movement(reference: str, type: str, amount: int, **more: object) -> Movement:
    line = Movement(
        reference=reference,
        type="other",
        amount=amount,
        fee=0,
        currency="usd",
        created=NOW - timedelta(hours=3),
        available_on=NOW - timedelta(hours=2),
        description=None,
    )
    return replace(line, type=type, **more)  # type: ignore[arg-type]


def payout(amount: int, status: str) -> PayoutNews:
    told = PayoutNews(
        reference="po_theirs",
        amount=amount,
        currency="usd",
        automatic=True,
        status="paid",
        created=NOW - timedelta(hours=1),
        arrival_date=NOW,
        statement_descriptor=None,
    )
    return replace(told, status=status)  # type: ignore[arg-type]


def reference_of(dsn: str, charge: str) -> str:
    async def look() -> str:
        database = Database(dsn)
        async with database.begin() as tx:
            found = (await payments.find_charges(tx, "live", [charge]))[charge]
        await database.close()
        return str(found.reference)

    return asyncio.run(look())


def test_fees_are_booked_and_a_payout_is_explained_undone_and_made_again(
    live: stripe.StripeClient, client: stripe.StripeClient, raw: httpx.Client, dsn: str
) -> None:
    customer = payer(live, client)
    payment = asked(live, customer)
    work(dsn)
    charge = str(live.v1.payment_intents.retrieve(payment.id).latest_charge)
    account = Account(
        movements=[
            movement("txn_1", "charge", 3000, fee=117, payment=reference_of(dsn, charge)),
            movement("txn_2", "stripe_fee", -200),
            movement("txn_3", "charge", 5000, fee=150, payment="pi_of_another_shop"),
            movement("txn_4", "topup", 100),
        ]
    )
    assert read(dsn, account) == 4
    assert read(dsn, account) == 0
    books = standing(dsn)
    assert (-books[customer.id, "fees"], -books[customer.id, "clearing:stripe"]) == (cents(117), cents(2883))
    told = live.v1.charges.retrieve(charge, {"expand": ["balance_transaction"]}).balance_transaction
    assert isinstance(told, stripe.BalanceTransaction)
    assert (told.fee, told.net, told.fee_details[0].type) == (117, 2883, "stripe_fee")
    others = live.v1.balance_transactions.list({"type": "other"}).data
    assert sorted(each.net for each in others) == [100, 4850]

    whole = 2883 - 200 + 4850 + 100
    for status, bank in (("in_transit", 0), ("paid", 2883), ("paid", 2883), ("failed", 0), ("failed", 0)):
        account.payouts = [payout(whole, status)]
        read(dsn, account)
        books = standing(dsn)
        assert -books.get((customer.id, "clearing:bank"), cents(0)) == cents(bank)
        assert -books[customer.id, "clearing:stripe"] == cents(2883 - bank)
        [shown] = live.v1.payouts.list({}).data
        assert (shown.status, shown.amount) == (status, whole)
        unbroken(raw, SECRET)
    types = {each.type for each in live.v1.events.list({"limit": 100}).data}
    assert {"payout.created", "payout.updated", "payout.paid", "payout.failed"} <= types


def test_a_payout_that_comes_back_leaves_alone_what_an_earlier_one_took_of_the_same_line(
    live: stripe.StripeClient, client: stripe.StripeClient, raw: httpx.Client, dsn: str
) -> None:
    payment = asked(live, payer(live, client), currency="eur")
    work(dsn)
    charge = str(live.v1.payment_intents.retrieve(payment.id).latest_charge)
    line = movement("txn_eur", "charge", 3000, currency="eur", payment=reference_of(dsn, charge))
    first = replace(payout(1000, "paid"), reference="po_first", currency="eur", automatic=False)
    second = replace(first, reference="po_second", amount=2000)
    failed = replace(second, status="failed")

    def left() -> int:
        return sum(each.amount for each in live.v1.balance.retrieve().available if each.currency == "eur")

    for told, rest in (([first], 2000), ([second, first], 0), ([failed, first], 2000)):
        read(dsn, Account(movements=[line], payouts=list(told)))
        assert left() == rest
        unbroken(raw, SECRET)


def test_a_payout_whose_lines_do_not_add_up_is_shown(raw: httpx.Client, live: stripe.StripeClient, dsn: str) -> None:
    off = replace(payout(999, "paid"), reference="po_off", arrival_date=NOW - timedelta(days=2))
    read(dsn, Account(payouts=[off]))
    headers = {"authorization": f"Bearer {SECRET}"}
    report = raw.get("/ops/invariants", params={"name": "payouts_explained"}, headers=headers).json()
    assert [(row["amount"], row["explained"]) for row in report["data"][0]["rows"]] == [(999, 0)]
    read(dsn, Account(payouts=[off]))
    paid = live.v1.events.list({"type": "payout.paid", "limit": 100}).data
    assert [each.data.object["amount"] for each in paid].count(999) == 1


def test_what_is_about_nothing_of_ours_yet_is_left_for_later(
    live: stripe.StripeClient, client: stripe.StripeClient, dsn: str
) -> None:
    customer = payer(live, client)
    payment = asked(live, customer)
    young = movement("txn_9", "charge", 3000, payment="pi_unheard_of", created=NOW - timedelta(minutes=5))
    assert read(dsn, Account(movements=[young])) == 0
    work(dsn)
    charge = str(live.v1.payment_intents.retrieve(payment.id).latest_charge)
    heard = replace(young, payment=reference_of(dsn, charge))
    assert read(dsn, Account(movements=[heard])) == 1
    assert live.v1.charges.retrieve(charge).balance_transaction is not None
