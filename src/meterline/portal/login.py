"""The page on which customers ask for a link to their portal, and the button of a link that has expired.

Whoever asks is told the same, whether somebody has that address or not.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import Response

from meterline.customer.portal import PortalConfiguration
from meterline.portal.page import form, not_found, page
from meterline.refusal import Missing
from meterline.store import portal_configuration as configurations
from meterline.store import portal_session as sessions
from meterline.store.database import Database
from meterline.usecase.enter_portal import Closed
from meterline.usecase.mail_portal_link import AddressOf, mail_login_link, mail_new_link
from meterline.usecase.open_portal import Opened

_LONGEST_EMAIL = 512


def add_routes(serving: APIRouter, database: Database, *, home_of: Callable[[Request], str]) -> None:
    """The login page of every configuration that has one."""

    @serving.get("/{environment}/login/{configuration}")
    async def show(environment: str, configuration: str) -> Response:
        found = await _found(database, environment, configuration)
        return not_found() if found is None else page("portal/login.html", configuration=found, sent=False)

    @serving.post("/{environment}/login/{configuration}")
    async def submit(request: Request, environment: str, configuration: str) -> Response:
        email = (await form(request)).get("email", "")
        found = await _found(database, environment, configuration)
        if found is None:
            return not_found()
        if "@" in email and len(email) <= _LONGEST_EMAIL:
            async with database.begin() as tx:
                address = address_of(home_of(request))
                await mail_login_link(tx, found, email=email, address=address, now=datetime.now(UTC))
        return page("portal/login.html", configuration=found, sent=True)


async def renew(database: Database, *, environment: str, id: str, home: str, wall: datetime) -> Response:
    """Mail a new link to the customer of an expired session."""
    async with database.begin() as tx:
        kept = None if "\0" in environment + id else await sessions.find(tx, environment, id)
        if kept is None:
            return not_found()
        try:
            await mail_new_link(tx, kept.session, address=address_of(home), now=wall)
        except Closed:
            return not_found()
    return page("portal/login.html", configuration=None, sent=True)


def address_of(home: str) -> AddressOf:
    """Writes links of a server that is reached at `home`."""

    def address(opened: Opened) -> str:
        session = opened.session
        return f"{home}/portal/{session.environment}/{session.id}/open/{opened.secret}"

    return address


async def _found(database: Database, environment: str, id: str) -> PortalConfiguration | None:
    if "\0" in environment + id:
        return None
    async with database.begin() as tx:
        try:
            found = await configurations.get(tx, environment, id)
        except Missing:
            return None
    return found if found.login and found.active else None
