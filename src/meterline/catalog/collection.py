"""How the usage of a metered price is paid for: by invoice, from the wallet, or from the wallet and then by invoice.

The rating is the same in all three. An invoice bills what its window of usage costs less what the wallet paid for that
window, so that the two always come to the rated total, whatever was switched, came late or was taken back meanwhile.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Literal, TypeAlias

from meterline.period import Cycle

Collection: TypeAlias = Literal["invoice", "wallet", "wallet_then_invoice"]
"""`wallet`: every event is debited as it is stored, what the wallet lacks becomes its debt. `wallet_then_invoice`: the
wallet pays what is available in it, the cycle's invoice the rest."""

FromWallet: TypeAlias = Literal["wallet", "wallet_then_invoice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """From an instant on, usage under a price is collected so, until a later setting."""

    starts_at: datetime
    collection: Collection


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A time in which the wallet pays for usage; without an end, for as long as nothing else is said."""

    starts_at: datetime
    ends_at: datetime | None
    collection: FromWallet


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The windows of usage that one item is billed by, so that tiers of debits begin anew where an invoice's do.

    The first one begins at `since`, the others at the boundaries of `cycle`.
    """

    since: datetime
    cycle: Cycle

    def start(self, at: datetime) -> datetime:
        """When the window that the instant lies in began."""
        return max(self.since, self.cycle.containing(at).start)

    def end(self, at: datetime) -> datetime:
        """When the next window begins; nothing is known to before the first one."""
        return self.since if at < self.since else self.cycle.containing(at).end


def collected(settings: Iterable[Setting], at: datetime) -> Collection:
    """How usage of that instant is collected: by invoice before anything was set."""
    found: Collection = "invoice"
    for each in sorted(settings, key=lambda each: each.starts_at):
        if each.starts_at <= at:
            found = each.collection
    return found


def stretches(settings: Iterable[Setting], *, since: datetime) -> tuple[Stretch, ...]:
    """When the wallet pays, from `since` on, in order of time."""
    ordered = sorted(settings, key=lambda each: each.starts_at)
    ends: list[datetime | None] = [later.starts_at for _, later in pairwise(ordered)]
    found: list[Stretch] = []
    for each, end in zip(ordered, [*ends, None], strict=False):
        if each.collection == "invoice" or (end is not None and end <= since):
            continue
        start = max(each.starts_at, since)
        last = found[-1] if found else None
        if last is not None and last.collection == each.collection and last.ends_at == start:
            found[-1] = Stretch(starts_at=last.starts_at, ends_at=end, collection=last.collection)
        else:
            found.append(Stretch(starts_at=start, ends_at=end, collection=each.collection))
    return tuple(found)
