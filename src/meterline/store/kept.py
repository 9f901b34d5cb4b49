"""The shape that many nouns share: objects of a customer, each a row under its public id, listed newest first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.refusal import Missing
from meterline.store import public_id
from meterline.store.identifier import uuid7
from meterline.store.key import among, insert_all, update_all
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.row import load, values
from meterline.store.side_by_side import ask


class Owned(Protocol):
    """What a customer's object says of itself."""

    @property
    def environment(self) -> str: ...
    @property
    def customer_id(self) -> UUID: ...
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Owned)


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """The objects of one noun: `kind` is the word that errors use and that its ids are looked up by, `param` what
    the paths of its routes call it."""

    table: Table
    noun: type[T]
    kind: str
    param: str = "id"

    async def add(self, tx: AsyncConnection, new: T) -> None:
        """Store a new object and make its id known."""
        await ask(self._add_all, tx, new)
        await public_id.add(tx, environment=new.environment, customer_id=new.customer_id, kind=self.kind, ids=[new.id])

    async def _add_all(self, tx: AsyncConnection, new: Sequence[T]) -> list[None]:
        await insert_all(tx, self.table, [values(each, self.table, sequence=uuid7()) for each in new])
        return [None] * len(new)

    async def save(self, tx: AsyncConnection, changed: T) -> None:
        """Store a changed object; its key stays what it was when it was made."""
        await ask(self._save_all, tx, changed)

    async def _save_all(self, tx: AsyncConnection, changed: Sequence[T]) -> list[None]:
        await update_all(tx, self.table, [values(each, self.table) for each in changed])
        return [None] * len(changed)

    async def find(self, tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, T]:
        """The objects with those ids; unknown ones are left out."""
        owners = await public_id.owners(tx, environment=environment, kind=self.kind, ids=ids)
        key = self.table.c
        query = select(self.table).where(key.customer_id.in_(owners.values()), key.id.in_(owners))
        return {row.id: load(self.noun, row) for row in await tx.execute(query)}

    async def get(
        self, tx: AsyncConnection, environment: str, id: str, *, param: str | None = None, subject: bool = True
    ) -> T:
        """The object that a call is about. Raises Missing."""
        found = (await self.find(tx, environment, [id])).get(id)
        if found is None:
            raise Missing(self.kind, id, param=param or self.param, subject=subject)
        return found

    async def lock(self, tx: AsyncConnection, *, customer_id: UUID, id: str) -> T:
        """An object that is known to exist, locked until the transaction ends."""
        return await ask(self._lock_all, tx, (customer_id, id))

    async def _lock_all(self, tx: AsyncConnection, keys: Sequence[tuple[UUID, str]]) -> list[T]:
        key = (self.table.c.customer_id, self.table.c.id)
        query = select(self.table).where(among(key, keys)).order_by(*key).with_for_update()
        found = {(row.customer_id, row.id): load(self.noun, row) for row in await tx.execute(query)}
        return [found[each] for each in keys]

    async def listed(
        self,
        tx: AsyncConnection,
        environment: str,
        cursor: Cursor,
        *,
        created: Span | None = None,
        of: Mapping[str, tuple[str, str | None]] | None = None,
        **equal: object,
    ) -> Page:
        """A page of objects, newest first; narrowed to those whose columns are `equal` to what is given.

        `of` narrows to the objects of others, by column: (kind, id). Their customer is looked up first, so that an
        index which the customer leads can serve the list. What belongs to nothing known is an empty page.
        """
        key = self.table.c
        scope = key.environment == environment
        query = select(self.table).where(scope, *during(key.created, created))
        for column, wanted in equal.items():
            if wanted is not None:
                query = query.where(key[column] == wanted)
        for column, (kind, id) in (of or {}).items():
            if id is None:
                continue
            owner = await public_id.owner(tx, environment=environment, kind=kind, id=id)
            if owner is None:
                return Page(rows=(), has_more=False)
            query = query.where(key.customer_id == owner, key[column] == id)
        return await page(tx, query, self.table, kind=self.kind, scope=scope, cursor=cursor)
