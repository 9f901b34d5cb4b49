"""One asset of a wallet: what it holds, what may be spent, and what spending, funding and lapsing do to it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from meterline.ledger import posting
from meterline.ledger.account import Account
from meterline.ledger.posting import Slice
from meterline.ledger.transaction import NOTHING, Transfer
from meterline.money import EXACT, add, decimal_text, subtract
from meterline.refusal import Refusal
from meterline.wallet.grant import Grant, burn_order, change, take

Status: TypeAlias = Literal["active", "frozen", "closed"]


class InsufficientFunds(Refusal):
    """The wallet cannot cover the amount. `rule` names what refused, for programs."""

    def __init__(self, *, asset: str, needed: Decimal, spendable: Decimal) -> None:
        super().__init__(
            f"The wallet can spend {decimal_text(spendable)} {asset} on this; {decimal_text(needed)} {asset} are"
            " needed.",
            code="insufficient_funds",
        )
        self.asset = asset
        self.needed = needed
        self.spendable = spendable


class Pocket(Struct, frozen=True, kw_only=True, gc=False):
    """The grants of one asset, in burn order, the `debt` that usage left, and what open holds were `lent`.

    `overdraft_limit` is how far below zero `available` may be spent. Funding repays debt, never what is lent: a
    hold that is given back gives that back itself.
    """

    asset: str
    grants: tuple[Grant, ...] = ()
    debt: Decimal = Decimal(0)
    lent: Decimal = Decimal(0)
    overdraft_limit: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        assert self.debt >= 0 and self.lent >= 0

    def usable(self, at: datetime, marks: Iterable[str] | None = None) -> Decimal:
        """What the grants in force can give: to anything with these marks, or in all when `marks` is None."""
        free = NOTHING
        for grant in self.grants:
            if grant.live(at) and (marks is None or grant.fits(marks)):
                free = EXACT.add(free, grant.free)
        return free

    def available(self, at: datetime) -> Decimal:
        """What is free and in force, less what is owed and lent; negative when that is more."""
        return subtract(self.usable(at), add(self.debt, self.lent))

    def spendable(self, at: datetime, marks: Iterable[str] = ()) -> Decimal:
        """The most that may be spent on something with these marks, overdraft included; zero or more."""
        lendable = max(subtract(self.overdraft_limit, add(self.debt, self.lent)), Decimal(0))
        bound = add(self.available(at), self.overdraft_limit)
        return max(min(add(self.usable(at, tuple(marks)), lendable), bound), Decimal(0))


def in_order(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """The grants in the order of their use."""
    return tuple(sorted(grants, key=burn_order))


class Debit(Struct, frozen=True, kw_only=True, gc=False):
    """What a debit did: the slices of grants it used, in order, and the shortage that became debt."""

    amount: Decimal
    slices: tuple[Slice, ...]
    shortage: Decimal
    transfers: tuple[Transfer, ...]


def record(pocket: Pocket, amount: Decimal, *, at: datetime, marks: Iterable[str] = ()) -> tuple[Pocket, Debit]:
    """Debit what already happened: never refused, what the grants cannot cover becomes debt."""
    slices, shortage = take(pocket.grants, amount, at=at, marks=marks)
    spent = replace(pocket, grants=change(pocket.grants, slices, remaining=-1), debt=add(pocket.debt, shortage))
    transfers = posting.usage_debited(asset=pocket.asset, slices=slices, shortage=shortage)
    return spent, Debit(amount=amount, slices=slices, shortage=shortage, transfers=transfers)


@dataclass(slots=True)
class _Left:
    """A grant that is being used up, and what is free of it still."""

    grant: Grant
    free: Decimal


class Running:
    """A pocket from which many debits are recorded at one instant: what `record` does, without a new pocket each.

    Slices, shortages and the pocket in the end are those of recording one by one.
    """

    def __init__(self, pocket: Pocket, at: datetime) -> None:
        self._pocket = pocket
        self._left = [_Left(grant, grant.free) for grant in pocket.grants if grant.live(at) and grant.free]
        self._debt = pocket.debt
        self.available = pocket.available(at)

    def record(self, amount: Decimal, marks: tuple[str, ...]) -> tuple[Transfer, ...]:
        """Debit what already happened; what the grants cannot cover becomes debt."""
        slices, rest = self._take(amount, marks)
        if rest:
            self._debt = add(self._debt, rest)
        self.available = subtract(self.available, amount)
        return posting.usage_debited(asset=self._pocket.asset, slices=slices, shortage=rest)

    def cover(self, amount: Decimal, marks: tuple[str, ...]) -> tuple[Decimal, tuple[Transfer, ...]]:
        """Debit no more of it than is available: how much that was. Nothing is borrowed for the rest."""
        wanted = min(amount, self.available)
        if wanted <= 0:
            return Decimal(0), ()
        slices, rest = self._take(wanted, marks)
        covered = subtract(wanted, rest)
        self.available = subtract(self.available, covered)
        return covered, posting.usage_debited(asset=self._pocket.asset, slices=slices, shortage=Decimal(0))

    def _take(self, amount: Decimal, marks: tuple[str, ...]) -> tuple[list[Slice], Decimal]:
        """The slices that cover the amount, in order of use, and what they leave of it."""
        slices: list[Slice] = []
        rest = amount
        for left in self._left:
            if left.free and left.grant.fits(marks):
                part = min(left.free, rest)
                left.free = subtract(left.free, part)
                slices.append(Slice(left.grant.id, left.grant.funding, part))
                rest = subtract(rest, part)
                if not rest:
                    break
        return slices, rest

    def pocket(self) -> Pocket:
        """The pocket after the debits so far."""
        used = {left.grant.id: subtract(left.grant.free, left.free) for left in self._left}
        if not any(used.values()) and self._debt == self._pocket.debt:
            return self._pocket
        grants = tuple(
            replace(grant, remaining=subtract(grant.remaining, used[grant.id])) if used.get(grant.id) else grant
            for grant in self._pocket.grants
        )
        return replace(self._pocket, grants=grants, debt=self._debt)


def spend(pocket: Pocket, amount: Decimal, *, at: datetime, marks: Iterable[str] = ()) -> tuple[Pocket, Debit]:
    """Debit what is about to happen. Raises InsufficientFunds beyond what is spendable."""
    marks = tuple(marks)
    _require(pocket, amount, at=at, marks=marks)
    return record(pocket, amount, at=at, marks=marks)


def _require(pocket: Pocket, amount: Decimal, *, at: datetime, marks: tuple[str, ...]) -> None:
    spendable = pocket.spendable(at, marks)
    if amount > spendable:
        raise InsufficientFunds(asset=pocket.asset, needed=amount, spendable=spendable)


def set_aside(pocket: Pocket, amount: Decimal, *, at: datetime, marks: Iterable[str] = ()) -> tuple[Pocket, Debit]:
    """Hold value of the grants, in burn order. Raises InsufficientFunds beyond what is spendable."""
    marks = tuple(marks)
    _require(pocket, amount, at=at, marks=marks)
    slices, shortage = take(pocket.grants, amount, at=at, marks=marks)
    less = replace(pocket, grants=change(pocket.grants, slices, held=1), lent=add(pocket.lent, shortage))
    transfers = posting.held(asset=pocket.asset, slices=slices, shortage=shortage)
    return less, Debit(amount=amount, slices=slices, shortage=shortage, transfers=transfers)


def give_back(pocket: Pocket, slices: tuple[Slice, ...], shortage: Decimal) -> tuple[Pocket, tuple[Transfer, ...]]:
    """End a hold on these slices: they are free again, or lapse at once where their grant expired meanwhile."""
    freed = replace(pocket, grants=change(pocket.grants, slices, held=-1), lent=subtract(pocket.lent, shortage))
    returned = posting.released(asset=pocket.asset, slices=slices, shortage=shortage)
    over = {grant.id for grant in freed.grants if grant.lapsed}
    late = tuple(each for each in slices if each.grant in over)
    lapsed = replace(freed, grants=change(freed.grants, late, remaining=-1))
    return lapsed, returned + posting.expired(asset=pocket.asset, slices=late)


def fund(pocket: Pocket, grant: Grant, *, source: Account) -> tuple[Pocket, tuple[Transfer, ...]]:
    """Add a grant. Bought value repays debt first, so less than was granted may remain; a gift never does."""
    assert grant.remaining == grant.granted and grant.asset == pocket.asset
    debt = pocket.debt if grant.funding == "paid" else Decimal(0)
    repaid = min(grant.granted, debt)
    transfers = posting.wallet_funded(
        asset=pocket.asset,
        amount=grant.granted,
        source=source,
        funding=grant.funding,
        grant=grant.id,
        debt=debt,
    )
    kept = replace(grant, remaining=subtract(grant.granted, repaid))
    return replace(pocket, grants=in_order((*pocket.grants, kept)), debt=subtract(pocket.debt, repaid)), transfers


def lapse(pocket: Pocket, grant_id: str) -> tuple[Pocket, tuple[Transfer, ...]]:
    """End a grant: what is free of it goes now, what a hold has set aside goes when the hold gives it back.

    A grant that lapsed before stays as it is.
    """
    ended = next((grant for grant in pocket.grants if grant.id == grant_id), None)
    if ended is None or ended.lapsed:
        return pocket, ()
    slices = (Slice(ended.id, ended.funding, ended.free),) if ended.free else ()
    grants = tuple(
        replace(grant, remaining=grant.held, lapsed=True) if grant.id == grant_id else grant for grant in pocket.grants
    )
    return replace(pocket, grants=grants), posting.expired(asset=pocket.asset, slices=slices)


def withdraw(pocket: Pocket, amount: Decimal, *, at: datetime, to: Account) -> tuple[Pocket, Debit]:
    """Take value out by hand. Raises InsufficientFunds beyond what is spendable."""
    _require(pocket, amount, at=at, marks=())
    slices, shortage = take(pocket.grants, amount, at=at, marks=())
    less = replace(pocket, grants=change(pocket.grants, slices, remaining=-1), debt=add(pocket.debt, shortage))
    transfers = posting.withdrawn(asset=pocket.asset, slices=slices, shortage=shortage, to=to)
    return less, Debit(amount=amount, slices=slices, shortage=shortage, transfers=transfers)


def refundable(pocket: Pocket) -> Decimal:
    """What was bought and is neither used, held nor lapsed; nothing while the wallet owes."""
    if pocket.debt or pocket.lent:
        return Decimal(0)
    return add(*(grant.free for grant in pocket.grants if grant.funding == "paid" and not grant.lapsed))


def newest_paid(pocket: Pocket, amount: Decimal) -> tuple[Slice, ...]:
    """The slices of bought grants that a refund takes: the newest grant first.

    Raises InsufficientFunds beyond what is refundable.
    """
    most = refundable(pocket)
    if amount > most:
        raise InsufficientFunds(asset=pocket.asset, needed=amount, spendable=most)
    slices: list[Slice] = []
    bought = [grant for grant in pocket.grants if grant.funding == "paid" and not grant.lapsed]
    for grant in sorted(bought, key=lambda each: (each.created, each.sequence), reverse=True):
        part = min(grant.free, amount)
        if part > 0:
            slices.append(Slice(grant.id, grant.funding, part))
            amount = subtract(amount, part)
    return tuple(slices)


def refund(pocket: Pocket, slices: tuple[Slice, ...], *, processor: str) -> tuple[Pocket, tuple[Transfer, ...]]:
    """Bought value that was not used leaves as money, which goes back by other means."""
    less = replace(pocket, grants=change(pocket.grants, slices, remaining=-1))
    bank = Account("clearing", pocket.asset, processor)
    return less, posting.value_taken_back(asset=pocket.asset, slices=slices, shortage=Decimal(0), to=bank)


def take_back(pocket: Pocket, grant_id: str, amount: Decimal, *, to: Account) -> tuple[Pocket, Debit]:
    """The money of a grant goes back, by a refund or by a bank: what is left of it goes, what was spent is debt."""
    left = add(*(each.free for each in pocket.grants if each.id == grant_id and not each.lapsed))
    part = min(left, amount)
    slices = (Slice(grant_id, "paid", part),) if part else ()
    rest = subtract(amount, part)
    less = replace(pocket, grants=change(pocket.grants, slices, remaining=-1), debt=add(pocket.debt, rest))
    transfers = posting.value_taken_back(asset=pocket.asset, slices=slices, shortage=rest, to=to)
    return less, Debit(amount=amount, slices=slices, shortage=rest, transfers=transfers)


class Undone(Struct, frozen=True, kw_only=True, gc=False):
    """What reversing a debit did. `unplaced` is value whose debt was repaid since: nothing recorded takes it back."""

    pocket: Pocket
    transfers: tuple[Transfer, ...]
    unplaced: Decimal


def last_part(slices: Sequence[Slice], shortage: Decimal, amount: Decimal) -> tuple[tuple[Slice, ...], Decimal]:
    """The part of a debit that was spent last, up to an amount: of its shortage first, then of its last slices.

    The slices are in the order of their use, as the debit's are.
    """
    owed = min(shortage, amount)
    rest = subtract(amount, owed)
    found: list[Slice] = []
    for each in reversed(slices):
        part = min(each.amount, rest)
        rest = subtract(rest, part)
        if part:
            found.append(Slice(each.grant, each.funding, part))
    assert not rest, "no more is taken back than was debited"
    return tuple(reversed(found)), owed


def undo(
    pocket: Pocket, slices: Sequence[Slice], shortage: Decimal, *, at: datetime, source: Account | None = None
) -> Undone:
    """Reverse a debit by its recorded slices, the last first: debt is forgiven first, then grants get theirs back.

    The pocket has the grants, used up or not. What belongs to a grant that expired meanwhile goes to breakage, visibly.
    The value comes from `source`, which is revenue where none is named.
    """
    repaid = min(shortage, pocket.debt)
    house = source or Account("revenue", pocket.asset)
    transfers = posting.value_returned(asset=pocket.asset, slices=slices, debt=repaid, source=house)
    restored = replace(pocket, grants=change(pocket.grants, slices, remaining=1), debt=subtract(pocket.debt, repaid))
    over = {grant.id for grant in restored.grants if grant.lapsed or grant.over(at)}
    late = tuple(each for each in slices if each.grant in over)
    lapsed = replace(restored, grants=change(restored.grants, late, remaining=-1))
    return Undone(
        pocket=lapsed,
        transfers=(*transfers, *posting.expired(asset=pocket.asset, slices=late)),
        unplaced=subtract(shortage, repaid),
    )


def posted(pocket: Pocket) -> Decimal:
    """What the wallet's accounts in the books must sum to. What holds were lent is both held and owed."""
    return subtract(add(*(grant.remaining for grant in pocket.grants)), pocket.debt)
