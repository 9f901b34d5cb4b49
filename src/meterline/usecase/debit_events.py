"""Take in events of one customer as the wallet dialect tells them: each is debited, or says why not.

One told event is counted once by number and once for every volume that a meter takes from its data. Usage that
nothing prices is parked, to be replayed when the cause is gone: it is never silently free.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from uuid import UUID

import msgspec

from meterline.catalog import ByDimension, Price
from meterline.catalog.rate_cell import cell
from meterline.customer import Customer
from meterline.meter import Meter
from meterline.money import add
from meterline.store import offer, wallet_event
from meterline.store.database import Database
from meterline.store.event import digest16
from meterline.store.identifier import uuid7
from meterline.store.ledger import Connection
from meterline.store.offer import Fee, Tariff
from meterline.store.stray import Stray
from meterline.store.wallet_event import WalletEvent
from meterline.usecase.ingest_events import Ingest, Told, identifier16, told_json
from meterline.usecase.publish_offer import event_name
from meterline.usecase.work_wallet import Answer, told
from meterline.usecase.write_events import Accepted, Duplicate, Fate, KeyReused, Refused

Status: TypeAlias = Literal["billed", "zero_priced", "parked", "duplicate", "rejected"]

ORIGIN: Literal["own"] = "own"
NO_VALUE = "-"
"""The value of a dimension that an event does not name: only a fallback rate matches it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldEvent:
    """One event of a customer. `costs` are what the seller paid for it, each with an `amount` in money."""

    id: str
    event_type: str
    occurred_at: datetime | None = None
    subject: str | None = None
    description: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    costs: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Priced:
    """What the customer's usage is debited by at the moment."""

    tariffs: Sequence[Tariff]
    prices: Mapping[str, Price]

    def sold(self, price: str) -> tuple[str, str | None]:
        """The price as it is sold, of one of the ways to pay for it, and the field of an event that it counts."""
        return next(((each.sold, each.volume_field) for each in self.tariffs if each.price == price), (price, None))

    def lacks(self, event: ToldEvent, measured: Collection[str], meters: Iterable[Meter], at: datetime) -> str | None:
        """A field in which the event should have a number and has none: a price counts it."""
        names = {each.id: each.event_name for each in meters}
        for each in self.tariffs:
            if each.volume_field is not None and each.covers(at):
                name = event_name(event.event_type, each.volume_field)
                if names.get(each.meter) == name and name not in measured:
                    return each.volume_field
        return None

    def problem(self, meter: Meter, dimensions: Mapping[str, str], at: datetime) -> tuple[str, str] | None:
        """Why usage on the meter would be free, or None where something prices it."""
        applying = [each for each in self.tariffs if each.meter == meter.id and each.covers(at)]
        if not applying:
            return "no_subscription", "No active subscription of the customer prices this event."
        for each in applying:
            price = self.prices[each.price]
            if isinstance(price.model, ByDimension) and cell(price, dimensions) == NO_VALUE:
                return "rate_missing", f"The price '{price.nickname}' has no rate for these dimensions."
        return None


@dataclass(slots=True)
class _Sorted:
    """What is done with each of the events told: counted in parts, or answered at once."""

    parts: list[tuple[int, Told]] = field(default_factory=list)
    answers: dict[int, Answer] = field(default_factory=dict)
    strays: list[Stray] = field(default_factory=list)


async def debit_events(
    database: Database,
    ingest: Ingest,
    *,
    customer: Customer,
    events: Sequence[ToldEvent],
    now: datetime,
    wall: datetime,
) -> list[Answer]:
    """What became of each event, in order: its receipt. `now` is the customer's time, `wall` the wall clock."""
    priced, known = await _load(database, customer, events)
    catalog = await ingest.directory.catalog(customer.environment)
    known_here = {each.id for each in catalog.meters.values()}
    if not {each.meter for each in priced.tariffs} <= known_here or not all(
        parts_of(event, catalog.meters, customer) for event in events
    ):
        catalog = await ingest.directory.reload(customer.environment)
    found = _Sorted()
    for n, event in enumerate(events):
        _sort(found, n, event, known.get(event.id), priced, catalog.meters, customer, now, wall)
    if found.strays:
        await ingest.keep(found.strays)
    fates = await ingest.take(
        [each for _, each in found.parts],
        environment=customer.environment,
        origin=ORIGIN,
        now=wall,
        keeps=lambda problem: problem.parked,
    )
    by_event: dict[int, list[Fate]] = {}
    for (n, _), fate in zip(found.parts, fates, strict=True):
        by_event.setdefault(n, []).append(fate)
    return await _answers(database, customer, events, known, found.answers, by_event, priced, now)


def _sort(
    found: _Sorted,
    n: int,
    event: ToldEvent,
    before: WalletEvent | None,
    priced: _Priced,
    meters: Mapping[str, Meter],
    customer: Customer,
    now: datetime,
    wall: datetime,
) -> None:
    differs = None if before is None else _difference(event, before)
    if differs is not None:
        detail = f"The id was used for another event: '{differs}' differs."
        found.answers[n] = {"id": event.id, "status": "rejected", "code": "identifier_conflict", "detail": detail}
        return
    at = event.occurred_at or now
    measured = parts_of(event, meters, customer)
    lacks = priced.lacks(event, [meter.event_name for meter, _, _ in measured], meters.values(), at)
    if lacks is not None:
        message = f"The event needs a number under '{lacks}'."
        found.answers[n] = {"id": event.id, "status": "rejected", "code": "volume_missing", "detail": message}
        stray = _stray(_unknown(event, customer), customer, "volume_missing", message, wall)
        found.strays.append(msgspec.structs.replace(stray, fate="rejected", field=lacks))
        return
    problems = [priced.problem(meter, dimensions, at) for meter, dimensions, _ in measured]
    payable = [told for (_, _, told), problem in zip(measured, problems, strict=True) if problem is None]
    if measured and not payable:
        code, message = next(problem for problem in problems if problem is not None)
        found.answers[n] = {"id": event.id, "status": "parked", "code": code, "detail": message}
        found.strays += [_stray(each, customer, code, message, wall) for _, _, each in measured]
        return
    found.parts += [(n, each) for each in payable] if measured else [(n, _unknown(event, customer))]


def _difference(event: ToldEvent, before: WalletEvent) -> str | None:
    """The member in which an event differs from the one that was told under its id before."""
    pairs = {
        "event_type": (event.event_type, before.event_type),
        "subject": (event.subject, before.subject),
        "description": (event.description, before.description),
        "data": (dict(event.data), before.data),
        "costs": ([_plain(each) for each in event.costs], before.costs),
    }
    return next((name for name, (one, other) in pairs.items() if one != other), None)


async def _load(
    database: Database, customer: Customer, events: Sequence[ToldEvent]
) -> tuple[_Priced, dict[str, WalletEvent]]:
    async with database.pool.acquire() as connection:
        known = await wallet_event.find(connection, customer.customer_id, [each.id for each in events])
        tariffs = await offer.tariffs(connection, [customer.customer_id])
        ids = {each.price for each in tariffs}
        prices = await offer.prices(connection, customer.environment, ids) if ids else {}
    return _Priced(tariffs=tariffs, prices=prices), known


def parts_of(
    event: ToldEvent, meters: Mapping[str, Meter], customer: Customer
) -> list[tuple[Meter, dict[str, str], Told]]:
    """The event as each meter that counts it is told it, with the dimension values it will have."""
    found = [(event.event_type, meters[event.event_type], "1")] if event.event_type in meters else []
    for name, value in event.data.items():
        meter = meters.get(f"{event.event_type}.{name}")
        if meter is not None and not isinstance(value, bool) and isinstance(value, int | Decimal | str):
            found.append((name, meter, value if isinstance(value, str) else format(Decimal(value), "f")))
    parts = []
    for name, meter, value in found:
        dimensions = {key: str(event.data.get(key) or NO_VALUE) for key in meter.dimension_keys}
        whole = name == event.event_type
        parts.append(
            (
                meter,
                dimensions,
                Told(
                    event_name=meter.event_name,
                    payload={**dimensions, meter.value_key: value},
                    identifier=event.id if whole else f"{event.id}:{name}",
                    occurred_at=event.occurred_at,
                    customer=customer.id,
                ),
            )
        )
    return parts


def _unknown(event: ToldEvent, customer: Customer) -> Told:
    """An event that no meter counts, as it is told so that it is parked."""
    return Told(
        event_name=event.event_type,
        payload={key: value for key, value in event.data.items() if isinstance(value, str | int | Decimal)},
        identifier=event.id,
        occurred_at=event.occurred_at,
        customer=customer.id,
    )


def _stray(told_: Told, customer: Customer, code: str, message: str, wall: datetime) -> Stray:
    return Stray(
        environment=customer.environment,
        key16=digest16(f"{told_.event_name}\0{customer.id}\0\0{told_.identifier}", of=b"stray"),
        fate="parked",
        code=code,
        message=message,
        field=None,
        origin=ORIGIN,
        event_name=told_.event_name,
        identifier=told_.identifier,
        request_key=None,
        told=told_json(told_),
        received_at=wall,
        customer=customer.id,
    )


async def _answers(
    database: Database,
    customer: Customer,
    events: Sequence[ToldEvent],
    known: Mapping[str, WalletEvent],
    at_once: Mapping[int, Answer],
    by_event: Mapping[int, list[Fate]],
    priced: _Priced,
    now: datetime,
) -> list[Answer]:
    answers: list[Answer] = []
    kept: list[WalletEvent] = []
    async with database.pool.acquire() as connection:
        for n, event in enumerate(events):
            fates = by_event.get(n, [])
            answer, fees = (at_once[n], []) if n in at_once else _answer(event, fates, priced)
            repeated = answer["status"] == "duplicate"
            before = known.get(event.id)
            if repeated and before is not None and before.receipt["status"] != "parked":
                answers.append(before.receipt | {"duplicate": True})
                continue
            if repeated:
                fees = await _fees(connection, customer.customer_id, fates)
                answer = receipt(event.id, fees, {}, priced.sold)
            if answer["status"] != "rejected":
                kept.append(_kept(event, fates, answer, fees, now))
            answers.append(answer | {"duplicate": True} if repeated else answer)
        await wallet_event.keep(
            connection, environment=customer.environment, customer_id=customer.customer_id, events=kept
        )
    return answers


def _answer(event: ToldEvent, fates: Sequence[Fate], priced: _Priced) -> tuple[Answer, list[Fee]]:
    """What became of one event, of whose parts each has a fate."""
    fees: list[Fee] = []
    available: dict[str, Decimal] = {}
    for fate in fates:
        match fate:
            case Refused():
                problem = fate.problem
                status: Status = "parked" if problem.parked else "rejected"
                return {"id": event.id, "status": status, "code": problem.code, "detail": problem.message}, []
            case KeyReused():
                return {"id": event.id, "status": "rejected", "code": "identifier_conflict"}, []
            case Accepted(debited=debited):
                if debited is not None:
                    fees += debited.fees
                    available |= debited.available
            case Duplicate():
                continue
    if all(isinstance(fate, Duplicate) for fate in fates):
        return {"id": event.id, "status": "duplicate"}, []
    return receipt(event.id, fees, available, priced.sold), fees


def receipt(
    id: str,
    fees: Sequence[Fee],
    available: Mapping[str, Decimal],
    sold: Callable[[str], tuple[str, str | None]],
) -> Answer:
    """What is answered to an event that was counted. `sold` says of a way to pay which price it belongs to, of what."""
    return {
        "id": id,
        "status": "billed" if any(fee.amount for fee in fees) else "zero_priced",
        "fees": [
            {
                "price_id": sold(fee.price)[0],
                "volume_field": sold(fee.price)[1],
                "product_id": fee.product,
                "product_version": fee.version,
                "subscription_id": fee.subscription,
                "rate": fee.cell or None,
                "quantity_before": None if fee.before is None else told(fee.before),
                "quantity_after": told(fee.after),
                "asset": fee.asset,
                "amount": told(fee.amount),
                "paid": told(fee.paid),
                "transaction": fee.transaction,
            }
            for fee in fees
        ],
        "available": {asset: told(amount) for asset, amount in available.items()},
    }


async def _fees(connection: Connection, customer_id: UUID, fates: Sequence[Fate]) -> list[Fee]:
    ids = [identifier16(fate.identifier, None) for fate in fates if isinstance(fate, Duplicate)]
    return await offer.fees_of(connection, customer_id=customer_id, identifiers16=ids)


def _kept(event: ToldEvent, fates: Sequence[Fate], answer: Answer, fees: Sequence[Fee], now: datetime) -> WalletEvent:
    accepted = next((fate for fate in fates if isinstance(fate, Accepted)), None)
    assets = {fee.asset for fee in fees}
    return WalletEvent(
        id=event.id,
        sequence=uuid7(),
        event_type=event.event_type,
        subject=event.subject,
        description=event.description,
        occurred_at=(event.occurred_at or now) if accepted is None else accepted.occurred_at,
        data=dict(event.data),
        costs=[_plain(cost) for cost in event.costs],
        receipt=answer,
        asset=next(iter(assets)) if len(assets) == 1 else None,
        fee=add(*(fee.paid for fee in fees)),
        cost=sum((Decimal(cost["amount"]) for cost in event.costs), Decimal(0)),
    )


def _plain(cost: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(dict(cost))
    return plain
