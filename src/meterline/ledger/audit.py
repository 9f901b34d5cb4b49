"""Re-reading a customer's books from the first transfer on, and saying what does not add up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from meterline.ledger.account import Account
from meterline.ledger.transaction import GENESIS, Cause, Head, Transfer, chained, fold
from meterline.money import add


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One transfer as it is kept: the `line`-th of transaction `number`."""

    number: int
    line: int
    transfer: Transfer
    cause: Cause
    business_at: datetime
    booked_at: datetime
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Something in a customer's books that cannot be. `where` names the row or the account."""

    customer_id: UUID
    where: str
    what: str


@dataclass(slots=True)
class Audit:
    """The audit of one customer's books: `read` every row in order, then `close`."""

    customer_id: UUID
    violations: list[Violation] = field(default_factory=list)
    _hash: bytes = GENESIS
    _number: int = 0
    _line: int = 0
    _booked_at: datetime | None = None
    _balances: dict[Account, Decimal] = field(default_factory=dict)

    def read(self, row: Row) -> None:
        """Check one row against those before it."""
        where = f"transaction {row.number} line {row.line}"
        follows = (row.number, row.line) in ((self._number, self._line + 1), (self._number + 1, 0))
        if not follows:
            self._note(where, f"follows transaction {self._number} line {self._line}: rows are missing")
        if row.line == 0 and self._booked_at is not None and row.booked_at <= self._booked_at:
            self._note(where, "was booked before the transaction that precedes it")
        expected = chained(
            self._hash,
            customer_id=self.customer_id,
            number=row.number,
            line=row.line,
            transfer=row.transfer,
            cause=row.cause,
            business_at=row.business_at,
            booked_at=row.booked_at,
        )
        if expected != row.hash:
            self._note(where, "does not match its hash: it, or the row before it, was changed")
        for account, amount in fold([row.transfer]).items():
            self._balances[account] = add(self._balances.get(account, Decimal(0)), amount)
        # Go on from the stored link, so that one changed row is named once and not every row after it.
        self._hash, self._number, self._line, self._booked_at = row.hash, row.number, row.line, row.booked_at

    def close(self, head: Head | None, posted: Mapping[Account, Decimal]) -> list[Violation]:
        """Compare the end of the books and the kept balances with what was read."""
        if head is None or (head.number, head.hash) != (self._number, self._hash):
            self._note(f"after transaction {self._number}", "the books end elsewhere: rows are missing or added")
        for account in sorted(self._balances.keys() | posted.keys()):
            folded, kept = self._balances.get(account, Decimal(0)), posted.get(account, Decimal(0))
            if folded != kept:
                self._note(f"{account.name} {account.asset}", f"stands at {kept}, its transfers sum to {folded}")
        return self.violations

    def _note(self, where: str, what: str) -> None:
        self.violations.append(Violation(customer_id=self.customer_id, where=where, what=what))
