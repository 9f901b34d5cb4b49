"""Keep events that were not counted, and tell of those parked: once a day for each cause, not for each event."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from meterline.meter.parked import SAMPLES, EventsParked
from meterline.store import customer as customers
from meterline.store import notice, public_id, stray
from meterline.store.alert import Connection
from meterline.store.event import digest16
from meterline.store.identifier import public
from meterline.store.notice import Fact
from meterline.store.stray import Stray

PARKED = "event.parked"


async def keep_strays(connection: Connection, strays: Sequence[Stray]) -> None:
    """Keep them, inside the caller's transaction, and tell of the parked ones in it.

    What has one reason, customer and event name is told of once per UTC day, when the first of it is parked. Customers
    that do not exist count as one: a flood of invented ids is one cause.
    """
    strays = [stray.storable(each) for each in strays]
    ids = await stray.record(connection, strays)
    parked = [each for each in strays if each.fate == "parked"]
    facts: list[Fact] = []
    for environment in sorted({each.environment for each in parked}):
        mine = [each for each in parked if each.environment == environment]
        named = sorted({each.customer for each in mine if each.customer is not None})
        known = await public_id.owners_bare(connection, environment=environment, kind=customers.KIND, ids=named)
        facts += _facts(mine, ids, known)
    await notice.add_once(connection, facts)


def _facts(parked: Sequence[Stray], ids: Mapping[tuple[str, UUID], str], known: Mapping[str, UUID]) -> list[Fact]:
    causes: dict[tuple[str, str | None, str | None], list[Stray]] = {}
    for each in parked:
        customer = each.customer if each.customer in known else None
        causes.setdefault((each.code, customer, each.event_name), []).append(each)
    return [
        _fact(together, customer, ids, None if customer is None else known[customer])
        for (_, customer, _), together in causes.items()
    ]


def _fact(
    together: Sequence[Stray], customer: str | None, ids: Mapping[tuple[str, UUID], str], customer_id: UUID | None
) -> Fact:
    first = together[0]
    kept = list(dict.fromkeys(ids[each.environment, each.key16] for each in together))
    told = EventsParked(
        id=public("park"),
        environment=first.environment,
        code=first.code,
        event_name=first.event_name,
        customer=customer,
        count=len(kept),
        sample=tuple(kept[:SAMPLES]),
        message=first.message,
        created=first.received_at,
    )
    day = f"{first.received_at:%Y-%m-%d}"
    cause = digest16(f"{first.code}\0{customer}\0{first.event_name}", of=b"parked")
    return Fact(
        environment=first.environment,
        customer_id=customer_id,
        type=PARKED,
        subject=told,
        object_id=f"{PARKED}/{day}/{cause.hex}",
        now=first.received_at,
    )
