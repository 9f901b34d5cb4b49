"""The way into the portal and around in it: the link, the cookie it is exchanged for, pages and forms.

A link sets a cookie that is sent to this one portal's path only, so that several portals can be open side by side. A
form carries a token made from the cookie; a form without it does nothing. Every request is one transaction.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.portal import login
from meterline.portal.frame import beginning, closed, frame, sections
from meterline.portal.guest import Done, Guest, Problem, Section
from meterline.portal.page import ASSETS, form, not_found, page
from meterline.refusal import Declined, Missing, Refusal
from meterline.store import wallet as wallets
from meterline.store.database import Database, driver
from meterline.usecase.enter_portal import Closed, Visit, come_back, follow_link, leave_portal
from meterline.usecase.open_portal import visit_secret

_COOKIE = "meterline_portal"
_SEE_OTHER = HTTPStatus.SEE_OTHER

Answer = Callable[[Request, str, str], Awaitable[Response]]


def router(database: Database, *, public_url: str | None = None) -> APIRouter:
    """The portal's pages, on this database; `public_url` is where they are reached from outside."""
    serving = APIRouter(prefix="/portal", include_in_schema=False)
    door = Door(database, public_url)

    @serving.get("/assets/{name}")
    async def asset(name: str) -> Response:
        if name not in ASSETS:
            return not_found()
        path, media_type = ASSETS[name]
        return FileResponse(path, media_type=media_type, headers={"cache-control": "public, max-age=3600"})

    login.add_routes(serving, database, home_of=door.home)
    serving.add_api_route("/{environment}/{id}/open/{secret}", door.enter, methods=["GET"])
    serving.add_api_route("/{environment}/{id}/leave", door.leave, methods=["POST"])
    serving.add_api_route("/{environment}/{id}/renew", door.renew, methods=["POST"])
    serving.add_api_route("/{environment}/{id}", door.show, methods=["GET"])
    serving.add_api_route("/{environment}/{id}/{section}", door.show, methods=["GET"])
    serving.add_api_route("/{environment}/{id}/{section}/{act}", door.act, methods=["POST"])
    return serving


class Door:
    """Lets visitors in and out, and hands them to the section they ask for."""

    def __init__(self, database: Database, public_url: str | None) -> None:
        self._database = database
        self._public_url = public_url

    def home(self, request: Request) -> str:
        """Where this server is reached from outside."""
        return (self._public_url or str(request.base_url)).rstrip("/")

    async def enter(self, request: Request, environment: str, id: str, secret: str) -> Response:
        """Exchange the link for a cookie."""
        try:
            async with self._database.begin() as tx:
                await follow_link(tx, environment=environment, id=id, secret=secret, wall=_wall())
        except Closed as shut:
            return closed(shut, environment, id)
        path = f"/portal/{environment}/{id}"
        answer = RedirectResponse(path, _SEE_OTHER, {"cache-control": "no-store", "referrer-policy": "no-referrer"})
        answer.set_cookie(
            _COOKIE,
            visit_secret(secret),
            path=path,
            secure=self.home(request).startswith("https:"),
            httponly=True,
            samesite="lax",
        )
        return answer

    async def show(self, request: Request, environment: str, id: str, section: str = "") -> Response:
        """One section; without a name, the first that the visitor has."""
        refreshes = "refresh" in request.query_params
        try:
            async with self._database.begin() as tx:
                guest = await self._guest(tx, request, environment, id, active=not refreshes)
                found = _section(guest, section)
                if found is None:
                    return not_found()
                return frame(guest, found, await found.show(tx, guest))
        except Closed as shut:
            return closed(shut, environment, id)
        except Missing:
            return not_found()

    async def act(self, request: Request, environment: str, id: str, section: str, act: str) -> Response:
        """Do what a form asks for; a refusal changes nothing and is shown."""
        said = await form(request)
        try:
            async with self._database.begin() as tx:
                guest = await self._guest(tx, request, environment, id, said=said)
                found = _section(guest, section)
                if found is None or act not in found.acts:
                    return not_found()
                if not guest.sent_this_form():
                    raise Refusal("This form is out of date. Please try again.")
                outcome = await found.acts[act](tx, guest)
        except Closed as shut:
            return closed(shut, environment, id)
        except Refusal as refusal:
            return await self._again(request, environment, id, section, refusal, said=dict(said))
        if isinstance(outcome, Problem):
            return await self._again(request, environment, id, section, Declined(outcome.message, code="declined"))
        if isinstance(outcome, Done):
            return RedirectResponse(_after(guest, found, outcome), _SEE_OTHER)
        return outcome

    async def _again(
        self, request: Request, environment: str, id: str, section: str, refusal: Refusal, *, said: Any = None
    ) -> Response:
        """The section once more, with what went wrong and what was typed."""
        async with self._database.begin() as tx:
            guest = await self._guest(tx, request, environment, id, said=said or {})
            found = _section(guest, section)
            assert found is not None, "the form was on it"
            status = HTTPStatus.PAYMENT_REQUIRED if isinstance(refusal, Declined) else HTTPStatus.BAD_REQUEST
            shown = await found.show(tx, guest)
            return frame(guest, found, shown, problem=refusal.message, status=status)

    async def leave(self, request: Request, environment: str, id: str) -> Response:
        """Close the portal, and go where the seller said."""
        said = await form(request)
        try:
            async with self._database.begin() as tx:
                guest = await self._guest(tx, request, environment, id, said=said)
                if guest.sent_this_form():
                    await leave_portal(tx, guest.visit)
        except Closed as shut:
            return closed(shut, environment, id)
        back = guest.visit.session.return_url
        answer = page("portal/left.html") if back is None else RedirectResponse(back, _SEE_OTHER)
        answer.delete_cookie(_COOKIE, path=f"/portal/{environment}/{id}")
        return answer

    async def renew(self, request: Request, environment: str, id: str) -> Response:
        """Mail the customer of an expired session a new link, where the seller allows that."""
        return await login.renew(self._database, environment=environment, id=id, home=self.home(request), wall=_wall())

    async def _guest(
        self, tx: AsyncConnection, request: Request, environment: str, id: str, *, active: bool = True, said: Any = None
    ) -> Guest:
        secret = request.cookies.get(_COOKIE, "")
        if "\0" in environment + id + secret:
            raise Closed
        wall = _wall()
        visit = await come_back(tx, environment=environment, id=id, secret=secret, wall=wall, active=active)
        return Guest(
            visit=visit,
            wallet=await _wallet(tx, visit),
            secret=secret,
            home=f"/portal/{environment}/{id}",
            wall=wall,
            query=dict(request.query_params),
            said=said or {},
        )


async def _wallet(tx: AsyncConnection, visit: Visit) -> wallets.Wallet | None:
    found = await wallets.find(await driver(tx), [visit.session.customer_id])
    return found.get(visit.session.customer_id)


def _section(guest: Guest, name: str) -> Section | None:
    """The section of that name, if the visitor has it; without a name, where they begin."""
    if not name:
        return beginning(guest)
    return next((each for each in sections(guest) if each.name == name), None)


def _after(guest: Guest, section: Section, done: Done) -> str:
    """Where a visitor goes on: in the same section, or where the flow that they came for ends."""
    flow = guest.visit.session.flow
    if flow is None or flow.type not in section.flows:
        return f"{guest.home}/{section.name}?done={done.note}"
    if flow.after.type == "redirect" and flow.after.return_url is not None:
        return flow.after.return_url
    ends_at = "finished" if flow.after.type == "hosted_confirmation" else "overview"
    return f"{guest.home}/{ends_at}?done={done.note}"


def _wall() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
