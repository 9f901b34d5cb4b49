"""Holds: value set aside before a call runs, taken for what the call cost, the rest given back."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from meterline.ledger import posting
from meterline.ledger.posting import Slice
from meterline.ledger.transaction import Transfer
from meterline.money import add, decimal_text, subtract
from meterline.refusal import Refusal
from meterline.wallet.grant import change, total
from meterline.wallet.pocket import Pocket, give_back, record, set_aside

Policy: TypeAlias = Literal["reject", "take_available", "overdraft"]
"""What becomes of a capture above the hold: it is refused; it takes what is available and no more; it takes what
is available and borrows up to the overdraft limit."""

Status: TypeAlias = Literal["open", "captured", "released", "expired"]

LONGEST = timedelta(hours=24)


class Hold(Struct, frozen=True, kw_only=True, gc=False):
    """Value set aside under the caller's id. `slices` and `shortage` are what is still aside, `captured` what was
    taken in all, `uncovered` what captures asked for and did not get."""

    id: str
    asset: str
    authorized: Decimal
    slices: tuple[Slice, ...]
    shortage: Decimal
    captured: Decimal = Decimal(0)
    uncovered: Decimal = Decimal(0)
    status: Status = "open"
    policy: Policy = "reject"
    marks: tuple[str, ...] = ()
    subject: str | None = None
    created: datetime
    expires_at: datetime

    @property
    def left(self) -> Decimal:
        """What is still set aside."""
        return add(total(self.slices), self.shortage)


class Change(Struct, frozen=True, kw_only=True, gc=False):
    """The pocket and the hold after a step, what to book, and how much was captured or left uncovered by it."""

    pocket: Pocket
    hold: Hold
    transfers: tuple[Transfer, ...]
    captured: Decimal = Decimal(0)
    uncovered: Decimal = Decimal(0)


def authorize(
    pocket: Pocket,
    *,
    id: str,
    amount: Decimal,
    at: datetime,
    ttl: timedelta,
    policy: Policy = "reject",
    marks: tuple[str, ...] = (),
    subject: str | None = None,
) -> Change:
    """Set `amount` aside for `ttl`. Raises InsufficientFunds."""
    assert timedelta(0) < ttl <= LONGEST
    less, aside = set_aside(pocket, amount, at=at, marks=marks)
    hold = Hold(
        id=id,
        asset=pocket.asset,
        authorized=amount,
        slices=aside.slices,
        shortage=aside.shortage,
        policy=policy,
        marks=marks,
        subject=subject,
        created=at,
        expires_at=at + ttl,
    )
    return Change(pocket=less, hold=hold, transfers=aside.transfers)


def capture(pocket: Pocket, hold: Hold, amount: Decimal, *, at: datetime, final: bool) -> Change:
    """Take `amount` for what the call cost: from the hold first, beyond it as its policy says.

    A capture that comes after the hold ended is wholly beyond it. What the policy does not cover is noted as
    uncovered, never lost. `final` gives the rest of the hold back. Raises Refusal for a hold whose last capture
    was made already, and for nothing at all captured from an open hold under `reject`.
    """
    if hold.status == "captured":
        raise Refusal("The final capture of this hold was made already.", code="hold_captured")
    inside = min(amount, hold.left)
    if hold.status == "open" and hold.policy == "reject" and amount > inside:
        raise Refusal(
            f"The capture of {decimal_text(amount)} {hold.asset} is above the {decimal_text(hold.left)} {hold.asset}"
            " that are held.",
            code="capture_above_hold",
        )
    taken, lent = _first(hold, inside)
    less = replace(
        pocket,
        grants=change(pocket.grants, taken, remaining=-1, held=-1),
        debt=add(pocket.debt, lent),
        lent=subtract(pocket.lent, lent),
    )
    transfers = posting.captured(asset=hold.asset, amount=inside, lent=lent)
    less, beyond, extra = _beyond(less, hold, subtract(amount, inside), at=at)
    taken_now = add(inside, beyond)
    missed = subtract(amount, taken_now)
    rest = replace(
        hold,
        slices=_without(hold.slices, taken),
        shortage=subtract(hold.shortage, lent),
        captured=add(hold.captured, taken_now),
        uncovered=add(hold.uncovered, missed),
    )
    done = Change(
        pocket=less,
        hold=rest,
        transfers=transfers + extra,
        captured=taken_now,
        uncovered=missed,
    )
    return _ended(done, "captured") if final and hold.status == "open" else done


def _beyond(
    pocket: Pocket, hold: Hold, excess: Decimal, *, at: datetime
) -> tuple[Pocket, Decimal, tuple[Transfer, ...]]:
    if not excess or hold.policy == "reject":
        return pocket, Decimal(0), ()
    strict = replace(pocket, overdraft_limit=Decimal(0))
    bound = (strict if hold.policy == "take_available" else pocket).spendable(at, hold.marks)
    amount = min(excess, bound)
    if not amount:
        return pocket, Decimal(0), ()
    spent, debit = record(pocket, amount, at=at, marks=hold.marks)
    return spent, amount, debit.transfers


def extend(pocket: Pocket, hold: Hold, *, amount: Decimal, ttl: timedelta | None, at: datetime) -> Change:
    """Set more aside (`amount` zero or more) and, with `ttl`, let the hold live on from now.

    Raises Refusal for a hold that ended, InsufficientFunds beyond what is spendable.
    """
    _require_open(hold)
    longer = hold if ttl is None else replace(hold, expires_at=max(hold.expires_at, at + ttl))
    if not amount:
        return Change(pocket=pocket, hold=longer, transfers=())
    less, aside = set_aside(pocket, amount, at=at, marks=hold.marks)
    more = replace(
        longer,
        authorized=add(hold.authorized, amount),
        slices=(*hold.slices, *aside.slices),
        shortage=add(hold.shortage, aside.shortage),
    )
    return Change(pocket=less, hold=more, transfers=aside.transfers)


def release(pocket: Pocket, hold: Hold) -> Change:
    """Give everything that is still aside back. Raises Refusal for a hold that ended otherwise."""
    _require_open(hold)
    return _ended(Change(pocket=pocket, hold=hold, transfers=()), "released")


def expire(pocket: Pocket, hold: Hold, *, at: datetime) -> Change:
    """The hold's time is over: give everything that is still aside back."""
    assert hold.status == "open" and hold.expires_at <= at
    return _ended(Change(pocket=pocket, hold=hold, transfers=()), "expired")


def _require_open(hold: Hold) -> None:
    if hold.status != "open":
        raise Refusal(f"The hold is {hold.status} already.", code=f"hold_{hold.status}")


def _ended(so_far: Change, status: Status) -> Change:
    pocket, transfers = give_back(so_far.pocket, so_far.hold.slices, so_far.hold.shortage)
    return replace(
        so_far,
        pocket=pocket,
        hold=replace(so_far.hold, slices=(), shortage=Decimal(0), status=status),
        transfers=so_far.transfers + transfers,
    )


def _first(hold: Hold, amount: Decimal) -> tuple[tuple[Slice, ...], Decimal]:
    """The first slices that come to `amount`, and what of it is borrowed."""
    taken: list[Slice] = []
    for each in hold.slices:
        part = min(each.amount, amount)
        if part > 0:
            taken.append(Slice(each.grant, each.funding, part))
            amount = subtract(amount, part)
    assert amount <= hold.shortage
    return tuple(taken), amount


def _without(slices: tuple[Slice, ...], taken: tuple[Slice, ...]) -> tuple[Slice, ...]:
    """What is left of the slices after their beginning was taken."""
    gone = total(taken)
    rest: list[Slice] = []
    for each in slices:
        part = min(each.amount, gone)
        gone = subtract(gone, part)
        if each.amount > part:
            rest.append(Slice(each.grant, each.funding, subtract(each.amount, part)))
    return tuple(rest)
