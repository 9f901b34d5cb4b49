"""The end of a flow that does not lead elsewhere."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.portal.guest import Guest, Section


async def show(_tx: AsyncConnection, _guest: Guest) -> Mapping[str, Any]:
    """Nothing but the seller's words, which the session has."""
    return {}


SECTION = Section(name="finished", title="Done", template="portal/finished.html", show=show, has=lambda _: True)
