"""The one order in which usage is locked.

Whoever changes usage takes its locks in this order, and within each in the order of keys; then nobody who holds a later
one waits for an earlier one, and there are no deadlocks:

1. partitions, where they have to be made;
2. claims of identifiers, and new events: intake alone, which holds nothing else while it waits for another claim;
3. counters, and with them the events that they count: an event is marked by who holds its counter;
4. sets of dimension values;
5. planned looks at spending;
6. books, and with them wallets, tallies, fees and budgets;
7. watches.

Intake meets them in that order as it goes (`write_events.record`). Whoever takes usage back locks all that it will
touch before it begins, here: what is done for one event after another then waits for nobody.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

from meterline.store import alert, counter, ledger, wallet
from meterline.store.alert import Connection
from meterline.store.event import NewEvent, Stored
from meterline.store.usage import hour_of


async def lock_usage(
    connection: Connection, *, environment: str, marked: Sequence[Stored], made: Sequence[NewEvent] = ()
) -> None:
    """Lock all that changes when stored events are marked and others made, of one environment."""
    keys = {*map(key_of, marked), *map(key_of, made)}
    customers = {key.customer_id for key in keys}
    await counter.lock(connection, keys)
    await counter.describe(connection, made)
    await lock_books(connection, environment=environment, customer_ids=customers)
    await alert.lock_watches(connection, customers, {key.meter for key in keys})


async def lock_books(connection: Connection, *, environment: str, customer_ids: Iterable[UUID]) -> None:
    """Lock the books of those who have a wallet."""
    paying = await wallet.clocks(connection, customer_ids)
    if paying:
        await ledger.lock(connection, environment=environment, customer_ids=paying)


def key_of(each: Stored | NewEvent) -> counter.Key:
    """The counter of an event."""
    return counter.Key(
        environment=each.environment,
        customer_id=UUID(bytes=each.customer_id.bytes),
        meter=each.meter,
        hour=hour_of(each.occurred_at),
        dimensions16=UUID(bytes=each.dimensions16.bytes),
    )
