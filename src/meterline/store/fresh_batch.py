"""A batch in which everything is new, stored and counted by one statement: one round trip, its own transaction.

Almost every batch is one. The statement first looks whether it is: no identifier or key was claimed before, the
catalog is the one that the batch was checked with, no wallet pays any of it. If so it writes everything, if not
nothing at all, and the careful way (`store.event`, `store.counter`) finds out what is to be done. What another
writer claims between the look and the insert violates a constraint; that too writes nothing.

The writes run in the order of the careful way: claims, then events, then counters, then dimension values, each in key
order.
"""

from collections.abc import Sequence
from functools import cache

import asyncpg

from meterline.store.counter import HOURS_TOLD, ON_COUNTED_BEFORE, dimension_columns, fold, hour_columns
from meterline.store.event import NewEvent, days_of, instant, key_owner, micros

_DIMENSIONS = """, described AS (
  INSERT INTO usage_dimension (customer_id, meter, dimensions16, environment, dimensions)
  SELECT customer_id, meter, dimensions16, environment, dimensions::jsonb
  FROM unnest($32::uuid[], $33::text[], $34::uuid[], $35::text[], $36::text[])
    AS n(customer_id, meter, dimensions16, environment, dimensions)
  WHERE (SELECT count(*) FROM counted) > 0
  ON CONFLICT DO NOTHING
)"""


@cache
def _statement(*, split: bool) -> str:
    """With dimension values if `split`.

    The planner cannot know how many rows the arrays hold: the look-up of claims is a scalar subquery, which stays an
    index probe per row and day. The days are two parameters, as no other form leaves the partitions of other days
    out once the plan is kept: an array would be looked for in every one, those made ahead included.
    """
    return f"""
WITH incoming AS MATERIALIZED (
  SELECT customer_id, {instant("occurred")} AS occurred_at, identifier16, meter, identifier, value, body16,
         {instant("received")} AS received_at, key16, key_body16, dimensions16
  FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::uuid[],
              $8::bigint[], $30::uuid[], $31::uuid[], $28::uuid[])
    AS i(customer_id, occurred, identifier16, meter, identifier, value, body16, received, key16, key_body16,
         dimensions16)
), claims AS (
  SELECT customer_id, identifier16, received_at, occurred_at, body16 FROM incoming
  UNION ALL SELECT $29::uuid, key16, received_at, occurred_at, key_body16 FROM incoming WHERE key16 IS NOT NULL
), fresh AS MATERIALIZED (
  SELECT coalesce((SELECT version FROM catalog_version WHERE environment = $9), 0) = $10::bigint
     AND ($15::uuid[] IS NULL OR NOT EXISTS (SELECT FROM wallet w WHERE w.customer_id = ANY($15::uuid[])))
     AND NOT EXISTS (
       SELECT FROM claims c
       WHERE (SELECT true FROM recent_identifier r
              WHERE r.customer_id = c.customer_id AND r.identifier16 = c.identifier16
                AND r.day BETWEEN $12::date AND $13::date
              LIMIT 1)) AS yes
), claimed AS (
  INSERT INTO recent_identifier (customer_id, identifier16, day, received_at, occurred_at, body16)
  SELECT c.customer_id, c.identifier16, d.day, c.received_at, c.occurred_at, c.body16
  FROM claims c CROSS JOIN unnest($11::date[]) AS d(day) WHERE (SELECT yes FROM fresh)
  ORDER BY c.customer_id, c.identifier16, d.day
  RETURNING 1
), stored AS (
  INSERT INTO usage_event (customer_id, occurred_at, identifier16, environment, meter, identifier, value,
                           dimensions16, body16, received_at, through_stripe)
  SELECT customer_id, occurred_at, identifier16, $9, meter, identifier, value::numeric, {
        "dimensions16" if split else "'00000000-0000-0000-0000-000000000000'::uuid"
    }, body16, received_at, $14::bool
  FROM incoming WHERE (SELECT count(*) FROM claimed) > 0
  RETURNING 1
), counted AS (
  INSERT INTO usage_hour AS h (customer_id, meter, hour, dimensions16, environment, count, sum, max, last,
                               last_occurred, last_received, recent, recent_received)
  SELECT {HOURS_TOLD}
  FROM (SELECT *, $9 AS environment
        FROM unnest($16::uuid[], $17::text[], $18::bigint[], $19::uuid[], $20::bigint[], $21::text[], $22::text[],
                    $23::text[], $24::bigint[], $25::bigint[], $26::text[], $27::bigint[])
          AS u(customer_id, meter, hour, dimensions16, count, sum, max, last, last_occurred, last_received, recent,
               recent_received)) n
  WHERE (SELECT count(*) FROM stored) > 0
  {ON_COUNTED_BEFORE}
  RETURNING 1
){_DIMENSIONS if split else ""}
SELECT yes FROM fresh"""


async def write(
    connection: "asyncpg.Connection[asyncpg.Record]", events: Sequence[NewEvent], *, version: int, debits: bool = False
) -> bool:
    """Store and count the events if all of them are new to the catalog of that version; whether it was done.

    `events` are of one environment and route, of meters that count no distinct values, and sorted by (customer,
    identifier16), each pair and each key once. Raises UniqueViolationError, and nothing was written, where
    another writer came first. Runs outside of a transaction, unless the caller `debits` the wallets after it: inside
    one, before anything else.
    """
    first = events[0]
    keyed = any(event.key16 is not None for event in events)
    split = any(event.dimensions is not None for event in events)
    days, yesterday = days_of(first.received_at)
    hours = hour_columns(fold(events))
    done: bool = await connection.fetchval(
        _statement(split=split),
        [e.customer_id for e in events],
        [micros(e.occurred_at) for e in events],
        [e.identifier16 for e in events],
        [e.meter for e in events],
        [e.identifier for e in events],
        [str(e.value) for e in events],
        [e.body16 for e in events],
        [micros(e.received_at) for e in events],
        first.environment,
        version,
        days,
        yesterday,
        days[-1],
        first.through_stripe,
        None if debits else list({e.customer_id for e in events}),
        *hours[:4],
        *hours[5:],
        [e.dimensions16 for e in events] if split else [],
        key_owner(first.environment),
        [e.key16 for e in events] if keyed else [],
        [e.key_body16 for e in events] if keyed else [],
        *(dimension_columns(events) if split else ()),
    )
    return done
