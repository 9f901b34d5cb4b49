"""COPY in its text form: many rows at once, each a line that its table writes.

A line costs one f-string, where the driver's binary form costs a look at every value and a call for its encoder.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import islice

import asyncpg

NULL = "\\N"

MANY = 100
"""From so many rows on, a COPY is quicker than a statement with arrays."""

_TOGETHER = 250
"""Lines sent together: the server stores some while the next are being made."""

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\b": "\\b", "\f": "\\f", "\v": "\\v"})


def escaped(text: str) -> str:
    """A text as a line has it."""
    return text if text.isprintable() and "\\" not in text else text.translate(_ESCAPES)


async def lines(
    connection: "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
    table: str,
    columns: Sequence[str],
    rows: Iterable[str],
) -> None:
    """Add rows to a table, in order: each the columns' values as text, tabs between them.

    Rows may be made as they are asked for: the server stores the first ones meanwhile.
    """
    lost = asyncio.get_running_loop().create_future()

    def ended(_: object) -> None:
        lost.set_result(None)

    connection.add_termination_listener(ended)
    copying = asyncio.ensure_future(
        connection.copy_to_table(table, source=_parts(rows), columns=columns, format="text")
    )
    try:
        # Where the server was behind, the driver waits until it may send more, for ever if the connection is gone.
        await asyncio.wait({copying, lost}, return_when=asyncio.FIRST_COMPLETED)
        if not copying.done():
            raise asyncpg.ConnectionDoesNotExistError("the connection was closed in the middle of a COPY")
        await copying
    finally:
        copying.cancel()
        await asyncio.gather(copying, return_exceptions=True)
        if not lost.done():
            connection.remove_termination_listener(ended)


async def _parts(rows: Iterable[str]) -> AsyncIterator[bytes]:
    left = iter(rows)
    while part := list(islice(left, _TOGETHER)):
        yield "\n".join([*part, ""]).encode()
        # Lets the loop send it.
        await asyncio.sleep(0)
