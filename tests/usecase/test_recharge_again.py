"""Wallets that recharge themselves go on doing so after what kept them from it is cured."""

from datetime import timedelta

from meterline.store import due, top_up
from meterline.store.database import Database
from meterline.usecase.delete_customer import delete_customer
from tests.usecase.test_wallet_life import HOUR, START, Jane, born, log_of, recharges, reference_of, saved_card


async def _planned(jane: Jane) -> list[due.Due]:
    async with jane.database.begin() as tx:
        found = await due.of_subject(tx, customer_id=jane.customer_id, subject="USD")
    return [each for each in found if each.kind == top_up.RECHARGE]


async def test_a_card_that_is_gone_is_a_reason_not_a_failure(database: Database) -> None:
    jane = await born(database)
    await recharges(jane, "pm_taken_away")
    await jane.give("10")
    await jane.charge("6", START)
    await jane.work_until(START)
    assert await log_of(jane) == ["no_payment_method"]
    assert await _planned(jane) == []
    await recharges(jane, await saved_card(jane, reference_of("pm_card_visa")))
    await jane.charge("1", START + HOUR)
    await jane.work_until(START + HOUR)
    assert await jane.available(START + HOUR) == 25


async def test_a_look_that_was_given_up_is_taken_again_with_the_next_debit(database: Database) -> None:
    jane = await born(database)
    await recharges(jane, await saved_card(jane, reference_of("pm_card_visa")))
    await jane.give("10")
    await jane.charge("6", START)
    [stuck] = await _planned(jane)
    async with database.begin() as tx:
        await due.give_up(tx, stuck, now=START, error="a bug")
    await jane.work_until(START)
    assert await jane.available(START) == 4
    later = START + timedelta(hours=1)
    await jane.charge("1", later)
    await jane.work_until(later)
    assert await jane.available(later) == 25


async def test_the_wallet_of_a_deleted_customer_buys_nothing(database: Database) -> None:
    jane = await born(database)
    await recharges(jane, await saved_card(jane, reference_of("pm_card_visa")))
    await jane.give("10")
    await jane.charge("6", START)
    async with database.begin() as tx:
        await delete_customer(tx, environment="test", id=jane.customer.id, now=START)
    await jane.work_until(START)
    assert await jane.available(START) == 4
