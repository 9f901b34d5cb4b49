"""Billing credits from their grant to their end: created, changed, expired, voided."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.credit import MOST_PRICES, MOST_UNUSED, CreditGrant, check_terms, require_living, require_unused
from meterline.ledger import posting
from meterline.ledger.transaction import Cause, Transfer, reversal
from meterline.money import to_major
from meterline.refusal import Missing, Refusal
from meterline.store import credit, due, ledger, notice
from meterline.store import customer as customers
from meterline.store import price as prices
from meterline.usecase import keep_books
from meterline.usecase.use_credits import lapse, move

EXPIRE = "expire_credit_grant"
"""The kind of due work that ends a grant of billing credits."""


async def grant_credits(
    tx: AsyncConnection, new: CreditGrant, *, price: int | None = None, now: datetime
) -> CreditGrant:
    """Store a new grant for a locked customer, book it, plan its end. `now` is the customer's time, UTC.

    `price` (minor units) is what was paid for it here already: nothing can keep such a grant from being made then.
    Raises Missing for an unknown price; refuses terms that cannot be, prices without a meter, one grant too many.
    """
    check_terms(new, now=now)
    await check_prices(
        tx, new.environment, new.prices or (), lambda place: f"applicability_config[scope][prices][{place}][id]"
    )
    await customers.lock(tx, new.customer_id)
    if price is None and await credit.count_unused(tx, customer_id=new.customer_id) >= MOST_UNUSED:
        raise Refusal(f"A customer can have at most {MOST_UNUSED} unused credit grants.", param="customer")
    await credit.add(tx, new)
    await move(tx, new, "credits_granted", new.value, now=now)
    asset, amount = new.currency.upper(), to_major(new.value, new.currency)
    if price is None:
        transfers = posting.credit_granted(asset=asset, amount=amount, funding=new.category, grant=new.id)
    else:
        transfers = posting.credit_sold(asset=asset, amount=amount, price=to_major(price, new.currency), grant=new.id)
    await _book(tx, new, "credit_grant", transfers, now=now)
    await _plan_end(tx, new)
    await _tell(tx, "billing.credit_grant.created", new, now=now)
    return new


async def check_prices(tx: AsyncConnection, environment: str, ids: Sequence[str], param: Callable[[int], str]) -> None:
    """Refuses prices that credits cannot pay. `param` names the place of a price in the call. Raises Missing."""
    if len(ids) > MOST_PRICES:
        raise Refusal(f"A credit grant applies to at most {MOST_PRICES} prices.", param=param(MOST_PRICES))
    found = await prices.find(tx, environment, ids)
    for place, id in enumerate(ids):
        if id not in found:
            raise Missing("price", id, param=param(place))
        if not found[id].metered:
            raise Refusal(
                f"Credit grants apply to metered prices with a meter only; `{id}` is not.", param=param(place)
            )


async def change_grant(
    tx: AsyncConnection,
    grant: CreditGrant,
    *,
    expires_at: datetime | None,
    metadata: Mapping[str, str],
    now: datetime,
) -> CreditGrant:
    """The grant with another end (null for none) and other metadata. `now` is the customer's time, UTC."""
    before = await _locked(tx, grant)
    after = replace(before, expires_at=expires_at, metadata=dict(metadata))
    if after.expires_at != before.expires_at:
        require_living(before, now=now, act="update")
        check_terms(after, now=now)
    if after == before:
        return before
    return await _changed(tx, before, replace(after, updated=now), now=now)


async def expire_grant(tx: AsyncConnection, grant: CreditGrant, *, now: datetime) -> CreditGrant:
    """End the grant now; what is left of it lapses."""
    before = await _locked(tx, grant)
    require_living(before, now=now, act="expire")
    gone = await lapse(tx, before, now=now)
    return await _changed(tx, before, replace(gone, expires_at=now, updated=now), now=now)


async def void_grant(tx: AsyncConnection, grant: CreditGrant, *, now: datetime) -> CreditGrant:
    """Take the grant back as if it had never been given. Refused once an invoice has used it."""
    before = await _locked(tx, grant)
    require_living(before, now=now, act="void")
    require_unused(before)
    voided, _ = await move(tx, before, "credits_voided", before.remaining, now=now)
    given = await ledger.transfers_of(tx, customer_id=before.customer_id, cause=Cause("credit_grant", before.id))
    transfers = reversal(given)
    await _book(tx, before, "credit_grant.voided", transfers, now=now)
    return await _changed(tx, before, replace(voided, voided_at=now), now=now)


async def expire_due(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> None:
    """The end of a grant has come, unless it was moved or brought about meanwhile."""
    found = (await credit.find(tx, environment, [id])).get(id)
    if found is None:
        return
    before = await _locked(tx, found)
    if before.voided_at is not None or not before.lapsed(now) or before.remaining == 0:
        return
    after = await lapse(tx, before, now=now)
    await _tell(tx, "billing.credit_grant.updated", after, now=now, previous=before)


async def _locked(tx: AsyncConnection, grant: CreditGrant) -> CreditGrant:
    """The grant, after its customer, so that finalizing and changing grants never wait for each other."""
    await customers.lock(tx, grant.customer_id)
    found = await credit.lock(tx, customer_id=grant.customer_id, id=grant.id)
    assert found is not None, "grants are never deleted"
    return found


async def _changed(tx: AsyncConnection, before: CreditGrant, after: CreditGrant, *, now: datetime) -> CreditGrant:
    await credit.save(tx, after)
    if after.expires_at != before.expires_at or after.voided_at is not None:
        await due.remove(tx, customer_id=after.customer_id, subject=after.id, kinds=[EXPIRE])
        if after.voided_at is None and not after.lapsed(now):
            await _plan_end(tx, after)
    await _tell(tx, "billing.credit_grant.updated", after, now=now, previous=before)
    return after


async def _plan_end(tx: AsyncConnection, grant: CreditGrant) -> None:
    if grant.expires_at is not None:
        await due.add(
            tx,
            environment=grant.environment,
            customer_id=grant.customer_id,
            kind=EXPIRE,
            subject=grant.id,
            boundary=grant.expires_at,
            due_at=grant.expires_at,
            clock=grant.test_clock,
        )


async def _book(
    tx: AsyncConnection, grant: CreditGrant, kind: str, transfers: tuple[Transfer, ...], *, now: datetime
) -> None:
    await keep_books.posted(
        tx,
        environment=grant.environment,
        customer_id=grant.customer_id,
        cause=Cause(kind, grant.id),
        transfers=transfers,
        now=now,
    )


async def _tell(
    tx: AsyncConnection, type: str, grant: CreditGrant, *, now: datetime, previous: CreditGrant | None = None
) -> None:
    await notice.add(
        tx,
        environment=grant.environment,
        customer_id=grant.customer_id,
        type=type,
        subject=grant,
        previous=previous,
        now=now,
    )
