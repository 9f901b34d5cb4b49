"""What events cost: stored with the debits, read and changed when usage that a wallet paid is corrected."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import msgspec

from meterline.ledger.account import named
from meterline.ledger.transaction import Transfer, instant_text
from meterline.store import copy
from meterline.store.copy import NULL, escaped
from meterline.store.event import Stored
from meterline.store.ledger import Connection
from meterline.store.offer import Fee, TallyKey

_COLUMNS = ", ".join(f"f.{name}" for name in Fee.__struct_fields__)

_OF_EVENTS = "unnest($1::uuid[], $2::timestamptz[], $3::uuid[]) AS e(customer_id, occurred_at, identifier16)"

_SAME = "f.customer_id = e.customer_id AND f.occurred_at = e.occurred_at AND f.identifier16 = e.identifier16"


_FEE_COLUMNS = (
    "customer_id",
    "occurred_at",
    "identifier16",
    "price",
    "environment",
    "subscription",
    "product",
    "version",
    "cell",
    "before",
    "after",
    "amount",
    "paid",
    "transaction",
    "asset",
    "span",
)


async def add(connection: Connection, *, environment: str, fees: Sequence[Fee]) -> None:
    """Store what events cost. Nobody else writes those of these customers meanwhile: their books are locked."""
    if not fees:
        return
    if len(fees) >= copy.MANY:
        await copy.lines(connection, "usage_fee", _FEE_COLUMNS, _fee_lines(environment, fees))
        return
    rows = [msgspec.structs.astuple(fee) for fee in fees]
    await connection.execute(
        "INSERT INTO usage_fee (environment, customer_id, occurred_at, identifier16, price, subscription, product,"
        " version, cell, before, after, asset, amount, transaction, paid, span)"
        " SELECT $1, * FROM unnest($2::uuid[], $3::timestamptz[], $4::uuid[], $5::text[], $6::text[], $7::text[],"
        " $8::int4[], $9::text[], $10::numeric[], $11::numeric[], $12::text[], $13::numeric[], $14::int8[],"
        " $15::numeric[], $16::timestamptz[])",
        environment,
        *zip(*rows, strict=True),
    )


def _fee_lines(environment: str, fees: Iterable[Fee]) -> Iterable[str]:
    """The rows as a COPY takes them, in the order of `_FEE_COLUMNS`. What fees have in common is written once."""
    parts: dict[tuple[object, ...], tuple[str, str, str]] = {}
    for fee in fees:
        alike = (fee.customer_id, fee.price, fee.subscription, fee.version, fee.cell, fee.asset, fee.span)
        known = parts.get(alike)
        if known is None:
            names = "\t".join([escaped(each) for each in (fee.price, environment, fee.subscription, fee.product)])
            known = parts[alike] = (
                str(fee.customer_id),
                f"{names}\t{fee.version}\t{escaped(fee.cell)}",
                f"{escaped(fee.asset)}\t{instant_text(fee.span)}",
            )
        owner, priced, counted = known
        before = NULL if fee.before is None else fee.before
        transaction = NULL if fee.transaction is None else fee.transaction
        yield (
            f"{owner}\t{instant_text(fee.occurred_at)}\t{fee.identifier16!s}\t{priced}\t{before!s}\t{fee.after!s}"
            f"\t{fee.amount!s}\t{fee.paid!s}\t{transaction}\t{counted}"
        )


async def standing(connection: Connection, events: Sequence[Stored]) -> list[Fee]:
    """What these events cost, as far as it was not given back; what was debited last comes first."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM usage_fee f JOIN {_OF_EVENTS} ON {_SAME} WHERE f.returned IS NULL"
        " ORDER BY f.transaction DESC NULLS LAST, f.occurred_at DESC, f.identifier16, f.price, f.subscription",
        *_keys(events),
    )
    return [Fee(*found) for found in rows]


async def give_back(connection: Connection, returned: Sequence[tuple[Fee, Decimal]]) -> None:
    """Note what came back of these fees, to wallets and to the events as the wallet dialect told them."""
    rows = sorted(
        ((f.customer_id, f.occurred_at, f.identifier16, f.price, f.subscription, back) for f, back in returned),
        key=lambda row: (row[0].bytes, row[1], row[2].bytes, *row[3:5]),
    )
    await connection.execute(
        "UPDATE usage_fee f SET returned = new.returned FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[],"
        " $4::text[], $5::text[], $6::numeric[])"
        " AS new(customer_id, occurred_at, identifier16, price, subscription, returned)"
        " WHERE f.customer_id = new.customer_id AND f.occurred_at = new.occurred_at"
        " AND f.identifier16 = new.identifier16 AND f.price = new.price AND f.subscription = new.subscription",
        *zip(*rows, strict=True),
    )


async def forget_returned(connection: Connection, events: Sequence[Stored]) -> None:
    """The events count again and will be debited anew: what came back of them before is in the books alone."""
    await connection.execute(
        f"DELETE FROM usage_fee f USING {_OF_EVENTS} WHERE {_SAME} AND f.returned IS NOT NULL", *_keys(events)
    )


def _keys(events: Sequence[Stored]) -> tuple[list[object], list[object], list[object]]:
    return (
        [each.customer_id for each in events],
        [each.occurred_at for each in events],
        [each.identifier16 for each in events],
    )


async def change_told(connection: Connection, customer_id: UUID, changes: Sequence[tuple[str, Decimal]]) -> None:
    """Add to what events of the wallet dialect brought in, by their ids."""
    rows = sorted(changes)
    await connection.execute(
        "UPDATE wallet_event SET fee = wallet_event.fee + change.amount FROM"
        " (SELECT id, sum(amount) AS amount FROM unnest($2::text[], $3::numeric[]) AS one(id, amount) GROUP BY id)"
        " AS change WHERE wallet_event.customer_id = $1 AND wallet_event.id = change.id",
        customer_id,
        [id for id, _ in rows],
        [amount for _, amount in rows],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What usage is left in a span of tiers: its largest value and its latest, and where the wallet took over."""

    largest: Decimal | None
    latest: Decimal | None
    seed: Decimal | None


async def left(connection: Connection, key: TallyKey, prices: Sequence[str]) -> Left:
    """What still counts of the events that were debited under a key, by one of its prices. Costs events."""
    row = await connection.fetchrow(
        "SELECT max(e.value) FILTER (WHERE counts) AS largest,"
        " (array_agg(e.value ORDER BY e.received_at DESC, e.occurred_at DESC) FILTER (WHERE counts))[1] AS latest,"
        " (array_agg(f.before ORDER BY e.received_at, e.occurred_at))[1] AS seed"
        " FROM usage_fee f JOIN usage_event e ON e.customer_id = f.customer_id AND e.occurred_at = f.occurred_at"
        " AND e.identifier16 = f.identifier16 CROSS JOIN LATERAL (SELECT e.voided_at IS NULL AS counts) AS c"
        " WHERE f.customer_id = $1 AND f.subscription = $2 AND f.price = ANY($3::text[]) AND f.cell = $4"
        " AND f.span = $5 AND f.occurred_at >= $5",
        key[0],
        key[1],
        list(prices),
        key[3],
        key[4],
    )
    assert row is not None, "an aggregate has one row"
    return Left(largest=row["largest"], latest=row["latest"], seed=row["seed"])


async def transfers(connection: Connection, customer_id: UUID, numbers: Sequence[int]) -> dict[int, list[Transfer]]:
    """What these transactions of the books moved, in order."""
    rows = await connection.fetch(
        "SELECT transaction, debit, credit, asset, amount, grant_id FROM ledger_transfer"
        " WHERE customer_id = $1 AND transaction = ANY($2::int8[]) ORDER BY transaction, line",
        customer_id,
        list(numbers),
    )
    found: dict[int, list[Transfer]] = {}
    for row in rows:
        moved = Transfer(
            named(row["debit"], row["asset"]), named(row["credit"], row["asset"]), row["amount"], row["grant_id"]
        )
        found.setdefault(row["transaction"], []).append(moved)
    return found
