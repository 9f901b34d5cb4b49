"""The hosted page on which a top-up is paid. What opens it is the secret in its address, not an API key."""

import hmac
from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.payment.method import PaymentMethod
from meterline.portal.card import MOST, card_of
from meterline.portal.page import form, not_found, page
from meterline.refusal import Declined, Missing, Refusal
from meterline.store import customer as customers
from meterline.store import payment_method
from meterline.store import top_up as store
from meterline.store.database import Database
from meterline.store.page import Cursor
from meterline.store.row import load
from meterline.store.top_up import TopUp
from meterline.usecase.create_payment_method import create_payment_method
from meterline.usecase.lead_on import lead_on
from meterline.usecase.moment import moment
from meterline.usecase.open_portal import Opened
from meterline.usecase.top_up_wallet import Paid, pay


def router(database: Database) -> APIRouter:
    """The pages of top-ups."""
    serving = APIRouter(include_in_schema=False)

    @serving.get("/top-ups/{id}/pay")
    async def show(id: str, request: Request) -> Response:
        async with database.begin() as tx:
            found = await _opened(tx, id, request.query_params.get("secret", ""))
            return not_found() if found is None else await _after(tx, found)

    @serving.post("/top-ups/{id}/pay")
    async def submit(id: str, request: Request) -> Response:
        said = dict(await form(request))
        try:
            async with database.begin() as tx:
                found = await _opened(tx, id, request.query_params.get("secret", ""))
                if found is None:
                    return not_found()
                paid = await _pay(tx, found, said)
        except Refusal as refusal:
            status = HTTPStatus.PAYMENT_REQUIRED if isinstance(refusal, Declined) else HTTPStatus.BAD_REQUEST
            return await _again(database, id, request, refusal.message, status)
        if paid.payment is not None and paid.payment.status == "requires_action":
            asking = f"/hosted/authentication/{found.environment}/{paid.payment.id}"
            return RedirectResponse(f"{asking}?secret={paid.payment.client_secret}", HTTPStatus.SEE_OTHER)
        async with database.begin() as tx:
            return await _after(tx, paid.top_up)

    return serving


async def _opened(tx: AsyncConnection, id: str, secret: str) -> TopUp | None:
    if "\0" in id:
        return None
    for environment in await store.environments(tx, id):
        try:
            found = await store.find(tx, environment, id)
        except Missing:
            continue
        if hmac.compare_digest(found.secret.encode(), secret.encode()):
            return found
    return None


async def _saved(tx: AsyncConnection, found: TopUp) -> list[PaymentMethod]:
    """The cards that the customer has saved."""
    listed = await payment_method.of_customer(tx, found.environment, found.customer_id, Cursor(limit=MOST))
    return [load(PaymentMethod, each) for each in listed.rows]


async def _pay(tx: AsyncConnection, found: TopUp, said: dict[str, str]) -> Paid:
    """Pay with the saved card that was chosen, or with the one that was typed in."""
    owner: Customer = (await customers.find_all(tx, [found.customer_id]))[found.customer_id]
    now = await moment(tx, environment=found.environment, test_clock=owner.test_clock, now=datetime.now(UTC))
    method = said.get("card")
    if method is None:
        made = await create_payment_method(tx, environment=found.environment, details=card_of(said), now=now)
        method = made.id
    return await pay(tx, environment=found.environment, id=found.id, method=method, now=now)


async def _again(database: Database, id: str, request: Request, problem: str, status: int) -> Response:
    async with database.begin() as tx:
        found = await _opened(tx, id, request.query_params.get("secret", ""))
        assert found is not None, "it was opened a moment ago"
        return _shown(found, await _saved(tx, found), problem=problem, status=status)


async def _after(tx: AsyncConnection, paid: TopUp) -> Response:
    if paid.status == "succeeded":
        onwards = await lead_on(tx, paid, now=datetime.now(UTC))
        if isinstance(onwards, Opened):
            session = onwards.session
            onwards = f"/portal/{session.environment}/{session.id}/open/{onwards.secret}"
        if onwards is not None:
            return RedirectResponse(onwards, HTTPStatus.SEE_OTHER)
    return _shown(paid, await _saved(tx, paid), problem=paid.failure)


def _shown(
    top_up: TopUp, cards: list[PaymentMethod], *, problem: str | None = None, status: int = HTTPStatus.OK
) -> Response:
    return page("top_up.html", status=status, top_up=top_up, cards=cards, problem=problem)
