"""Parked events that the wallet dialect told: told again part by part, and their receipts once they are counted."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.meter import Meter
from meterline.money import add
from meterline.store import customer, offer, wallet_event
from meterline.store.database import driver
from meterline.store.event import NewEvent
from meterline.store.ledger import Connection
from meterline.store.offer import Fee
from meterline.store.wallet_event import WalletEvent
from meterline.usecase.debit_events import ToldEvent, parts_of, receipt
from meterline.usecase.ingest_events import Told, identifier16
from meterline.usecase.reverse_debits import told_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one meter counts of a parked event; `place` is the parked event's, `told` what the wallet dialect told."""

    place: int
    event: Told
    told: WalletEvent | None = None


async def recall(
    tx: AsyncConnection, *, environment: str, parked: Sequence[Told], meters: Mapping[str, Meter]
) -> list[Part]:
    """The parked events as they are to be counted now: those told by the wallet dialect in as many parts as it makes.

    One that no meter counted when it was told was parked whole.
    """
    owners = await customer.find(tx, environment, {each.customer for each in parked if each.customer is not None})
    known = await _told(await driver(tx), owners, parked)
    parts: list[Part] = []
    for place, each in enumerate(parked):
        told = known.get((each.customer, each.identifier))
        found = [each]
        if told is not None and told.id == each.identifier and each.event_name == told.event_type:
            whole = ToldEvent(id=told.id, event_type=told.event_type, occurred_at=each.occurred_at, data=told.data)
            found = [part for _, _, part in parts_of(whole, meters, owners[str(each.customer)])] or [each]
        parts += [Part(place=place, event=one, told=told) for one in found]
    return parts


async def _told(
    connection: Connection, owners: Mapping[str, Customer], parked: Sequence[Told]
) -> dict[tuple[str | None, str | None], WalletEvent]:
    """By customer and identifier: what the wallet dialect told under it, or under that of which it is a part."""
    ids: dict[str, set[str]] = {}
    for each in parked:
        if each.customer is not None and each.customer in owners and each.identifier is not None:
            ids.setdefault(each.customer, set()).update((each.identifier, told_id(each.identifier)))
    found: dict[tuple[str | None, str | None], WalletEvent] = {}
    for name, among in ids.items():
        known = await wallet_event.find(connection, owners[name].customer_id, sorted(among))
        for each in parked:
            if each.customer == name and each.identifier is not None:
                told = known.get(each.identifier) or known.get(told_id(each.identifier))
                if told is not None and (each.event_name + ".").startswith(told.event_type + "."):
                    found[name, each.identifier] = told
    return found


async def settle(
    connection: Connection, counted: Sequence[tuple[Part, NewEvent]], new: Mapping[UUID, Collection[Fee]]
) -> None:
    """Write the receipts of events that are counted now, some for the first time, with `new` fees by identifier."""
    told: dict[tuple[UUID, str], list[tuple[Part, NewEvent]]] = {}
    for part, event in counted:
        if part.told is not None:
            told.setdefault((UUID(bytes=event.customer_id.bytes), part.told.id), []).append((part, event))
    for (customer_id, id), mine in told.items():
        before = mine[0][0].told
        assert before is not None, "it was told"
        sold = {each.price: (each.sold, each.volume_field) for each in await offer.tariffs(connection, [customer_id])}
        names = [id, *(f"{id}:{name}" for name in before.data)]
        fees = await offer.fees_of(
            connection, customer_id=customer_id, identifiers16=[identifier16(name, None) for name in names]
        )
        assets = {fee.asset for fee in fees}
        if before.receipt["status"] == "parked":
            paid = add(*(fee.paid for fee in fees))
        else:
            paid = add(before.fee, *(fee.paid for _, event in mine for fee in new.get(event.identifier16, ())))
        settled = replace(
            before,
            occurred_at=mine[0][1].occurred_at,
            receipt=receipt(id, fees, {}, lambda price, sold=sold: sold.get(price, (price, None))),  # type: ignore[misc]
            asset=next(iter(assets)) if len(assets) == 1 else None,
            fee=paid,
        )
        await wallet_event.settle(connection, customer_id, [settled])
