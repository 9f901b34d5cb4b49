"""What a kind of due work runs.

A handler either runs inside the one transaction that also deletes its due row, or is staged: it opens its
own transactions because it talks to others between them, and its row is deleted once it has returned; a
staged handler must therefore bear being run again.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store.database import Database, is_away
from meterline.store.due import Due

InTransaction: TypeAlias = Callable[[AsyncConnection, Due, datetime], Awaitable[None]]
InStages: TypeAlias = Callable[[Database, Due, datetime], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Handlers:
    """The handlers of every kind of due work; a kind is in one of the two."""

    in_transaction: Mapping[str, InTransaction]
    in_stages: Mapping[str, InStages]
    in_chunks: frozenset[str] = frozenset()
    """The kinds in a transaction of which many customers' rows share one."""

    def __post_init__(self) -> None:
        both = self.in_transaction.keys() & self.in_stages.keys()
        assert not both, f"kinds handled twice: {sorted(both)}"


def database_was_away(handlers: Handlers, row: Due, error: Exception) -> bool:
    """Whether work was cut short by the database. What a staged handler cannot reach may be somebody else."""
    elsewhere = isinstance(error, OSError) and row.kind in handlers.in_stages
    return is_away(error) and not elsewhere


class Unhandled(Exception):
    """There is no handler for this kind of due work: it was planned by a newer version, or by mistake."""


class Superseded(Exception):
    """The due row was finished or withdrawn by somebody else meanwhile; what was done here is undone."""
