"""What ingest must know of customers, read in bulk and kept in memory.

A customer's inner id and test clock never change; its deletion raises the catalog version, upon which the
process forgets what it knew. Concurrent look-ups share one query.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.meter import Meter
from meterline.store import catalog_version, meter
from meterline.store.clock import test_clock
from meterline.store.customer import KIND, customer
from meterline.store.database import Database
from meterline.store.event import uuid16
from meterline.store.public_id import public_id

MOST = 500_000
_NOBODY: "Mapping[str, Who]" = {}


class Who(msgspec.Struct, frozen=True, gc=False):
    """A living customer: the inner id, the test clock it lives on, and what its lane is reckoned from."""

    customer_id: UUID
    test_clock: str | None
    lane: int


class Catalog(msgspec.Struct, frozen=True):
    """The meters of an environment by event name, as of a catalog version."""

    version: int
    meters: dict[str, Meter]


class Directory:
    """The catalog and the customers as this process knows them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._catalogs: dict[str, Catalog] = {}
        self._customers: dict[str, dict[str, Who]] = {}
        self._wanted: dict[tuple[str, str], asyncio.Future[Who | None]] = {}
        self._loader: asyncio.Task[None] | None = None

    def remembered(self, environment: str) -> tuple[Catalog | None, Mapping[str, Who]]:
        """The catalog and the customers at hand: a customer that is not among them may exist all the same."""
        return self._catalogs.get(environment), self._customers.get(environment, _NOBODY)

    async def catalog(self, environment: str) -> Catalog:
        """The catalog as last loaded; a batch finds out whether it is stale."""
        found = self._catalogs.get(environment)
        return found if found is not None else await self.reload(environment)

    async def reload(self, environment: str) -> Catalog:
        """Load the catalog again, and forget the customers if it changed."""
        async with self._database.begin() as tx:
            version = await catalog_version.current(tx, environment)
            loaded = Catalog(version, await meter.catalog(tx, environment))
        before = self._catalogs.get(environment)
        if before is not None and before.version != version:
            self._customers.pop(environment, None)
        self._catalogs[environment] = loaded
        return loaded

    async def customers(self, environment: str, ids: Collection[str]) -> dict[str, Who]:
        """The living customers among those ids."""
        known = self._customers.setdefault(environment, {})
        missing = [id for id in ids if id not in known]
        if not missing:
            return known
        if len(known) > MOST:
            known = self._customers[environment] = {}  # who still waits keeps what it found
            missing = list(ids)
        # Others wait for the same look-ups: one caller that is gone must not take them along.
        found = await asyncio.gather(*[asyncio.shield(self._ask(environment, id)) for id in missing])
        present = {id: who for id, who in zip(missing, found, strict=True) if who is not None}
        known.update(present)
        return known

    async def clocks(self, environment: str, ids: Collection[str]) -> dict[str, datetime]:
        """The frozen times of test clocks, read now."""
        async with self._database.begin() as tx:
            rows = await tx.execute(
                select(test_clock.c.id, test_clock.c.frozen_time).where(
                    test_clock.c.environment == environment, test_clock.c.id.in_(ids)
                )
            )
            return {row.id: row.frozen_time for row in rows}

    def _ask(self, environment: str, id: str) -> "asyncio.Future[Who | None]":
        asked = self._wanted.get((environment, id))
        if asked is None:
            asked = self._wanted[environment, id] = asyncio.get_running_loop().create_future()
            if self._loader is None or self._loader.done():
                self._loader = asyncio.create_task(self._load())
        return asked

    async def _load(self) -> None:
        while self._wanted:
            wanted, self._wanted = self._wanted, {}
            try:
                async with self._database.begin() as tx:
                    for environment in {environment for environment, _ in wanted}:
                        ids = [id for asked, id in wanted if asked == environment]
                        found = await _find(tx, environment, ids)
                        for id in ids:
                            _answer(wanted[environment, id], found.get(id))
            except Exception as error:  # noqa: BLE001 - told to those who asked
                for future in wanted.values():
                    if not future.done():
                        future.set_exception(error)


def _answer(future: "asyncio.Future[Who | None]", who: Who | None) -> None:
    if not future.done():
        future.set_result(who)


async def _find(tx: AsyncConnection, environment: str, ids: Iterable[str]) -> dict[str, Who]:
    rows = await tx.execute(
        select(public_id.c.id, customer.c.customer_id, customer.c.test_clock)
        .join(customer, customer.c.customer_id == public_id.c.customer_id)
        .where(
            public_id.c.environment == environment,
            public_id.c.kind == KIND,
            # Nobody is called by a name that no database keeps; asked for it, this would answer none of the others.
            public_id.c.id.in_(sorted(id for id in ids if "\0" not in id)),
            ~customer.c.deleted,
        )
    )
    return {row.id: Who(uuid16(row.customer_id.bytes), row.test_clock, lane_of(row.customer_id)) for row in rows}


def lane_of(customer_id: UUID) -> int:
    """A number that spreads customers evenly over any number of lanes."""
    return customer_id.bytes[-1]
