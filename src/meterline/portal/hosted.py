"""The hosted pages: pay a checkout, pay an invoice, confirm a payment as the card's holder."""

import hmac
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.model import Invoice
from meterline.invoice.total import summed_taxes
from meterline.payment.checkout import Checkout
from meterline.payment.payment import Payment
from meterline.payment.setup import Setup
from meterline.portal.card import card_of
from meterline.portal.page import STYLE, form, not_found, page
from meterline.portal.receipt import show_receipt
from meterline.portal.tax import shown_taxes
from meterline.refusal import Declined, Missing, Refusal
from meterline.store import checkout as checkouts
from meterline.store import customer as customers
from meterline.store import invoice as invoices
from meterline.store import payment as payments
from meterline.store import setup_intent as setups
from meterline.store import top_up as top_ups
from meterline.store.database import Database
from meterline.usecase.check_out import Payer, finish_checkout, pay_checkout
from meterline.usecase.create_payment_method import LIVE, create_payment_method
from meterline.usecase.moment import moment
from meterline.usecase.offer_discount import type_code
from meterline.usecase.set_up_method import confirm_setup, fail_setup
from meterline.usecase.take_payment import confirm_payment, fail_authentication

_SEE_OTHER = HTTPStatus.SEE_OTHER

_CONFIRMED = ("succeeded", "requires_capture", "processing")
"""How a payment or a setup stands whose card's holder has confirmed."""


async def _time(tx: AsyncConnection, thing: Checkout | Invoice | Payment | Setup) -> datetime:
    """What time it is for the customer."""
    owner = (await customers.find_all(tx, [thing.customer_id])).get(thing.customer_id)
    clock = None if owner is None else owner.test_clock
    wall = datetime.now(UTC).replace(microsecond=0)
    return await moment(tx, environment=thing.environment, test_clock=clock, now=wall)


def router(database: Database) -> APIRouter:
    """The pages, on this database."""
    serving = APIRouter(prefix="/hosted", include_in_schema=False)
    for path, show, submit in (
        ("/checkout/{environment}/{id}", show_checkout, submit_checkout),
        ("/invoice/{environment}/{id}", show_invoice, submit_invoice),
        ("/authentication/{environment}/{id}", show_authentication, submit_authentication),
    ):
        serving.add_api_route(path, served(database, show), methods=["GET"])
        serving.add_api_route(path, served(database, submit), methods=["POST"])
    serving.add_api_route("/receipt/{environment}/{id}", served(database, show_receipt), methods=["GET"])

    @serving.get("/style.css")
    async def style() -> FileResponse:
        return FileResponse(STYLE, media_type="text/css", headers={"cache-control": "public, max-age=3600"})

    return serving


def served(
    database: Database, answer: Callable[[Database, Request, str, str], Awaitable[Response]]
) -> Callable[[Request, str, str], Awaitable[Response]]:
    """The endpoint of a page about one object. What the address does not lead to is not found."""

    async def endpoint(request: Request, environment: str, id: str) -> Response:
        if "\0" in id or "\0" in environment:
            return not_found()
        try:
            return await answer(database, request, environment, id)
        except Missing:
            return not_found()

    return endpoint


async def show_checkout(database: Database, _request: Request, environment: str, id: str) -> Response:
    """The page of a session, or where a finished one leads."""
    async with database.begin() as tx:
        session = await checkouts.get(tx, environment, id)
        session = await finish_checkout(tx, session, now=await _time(tx, session))
    return _after_checkout(session)


def _after_checkout(session: Checkout, *, problem: str | None = None, status: int = HTTPStatus.OK) -> Response:
    if session.status == "complete" and session.success_url is not None:
        return RedirectResponse(session.success_url.replace("{CHECKOUT_SESSION_ID}", session.id), _SEE_OTHER)
    taxes = () if session.trial_days else summed_taxes(session.lines)
    shown = shown_taxes(taxes, session.rates, currency=session.currency or "")
    return page("checkout.html", status=status, session=session, taxes=shown, problem=problem)


async def submit_checkout(database: Database, request: Request, environment: str, id: str) -> Response:
    """Pay a session with the card in the form, or give it a promotion code; a refusal changes nothing and is told."""
    sent = await form(request)
    try:
        async with database.begin() as tx:
            session = await checkouts.get(tx, environment, id)
            now = await _time(tx, session)
            if sent.get("act") == "discount":
                session = await type_code(tx, session, sent.get("promotion_code", ""), now=now)
                return RedirectResponse(request.url.path, _SEE_OTHER)
            card = None if session.free else card_of(sent)
            payer = Payer(card=card, name=sent.get("name"), email=sent.get("email"))
            session = await pay_checkout(tx, session, payer, now=now)
    except Missing as missing:
        if missing.subject:
            raise
        return await _checkout_problem(database, environment, id, missing)
    except Refusal as refusal:
        return await _checkout_problem(database, environment, id, refusal)
    waiting = session.payment or session.setup
    if session.status == "open" and waiting is not None:
        return await _to_authentication(database, environment, waiting)
    return _after_checkout(session)


async def _checkout_problem(database: Database, environment: str, id: str, refusal: Refusal) -> Response:
    async with database.begin() as tx:
        session = await checkouts.get(tx, environment, id)
    return _after_checkout(session, problem=refusal.message, status=_status(refusal))


def _status(refusal: Refusal) -> int:
    return HTTPStatus.PAYMENT_REQUIRED if isinstance(refusal, Declined) else HTTPStatus.BAD_REQUEST


async def _to_authentication(database: Database, environment: str, id: str) -> Response:
    async with database.begin() as tx:
        thing = await _waiting(tx, environment, id)
    page_of = f"/hosted/authentication/{environment}/{thing.id}?secret={thing.client_secret}"
    return RedirectResponse(page_of, _SEE_OTHER)


async def show_invoice(database: Database, _request: Request, environment: str, id: str) -> Response:
    """An invoice as its customer sees it, with a form to pay it where it is open."""
    async with database.begin() as tx:
        invoice = await invoices.get(tx, environment, id)
    return _invoice(invoice)


def _invoice(invoice: Invoice, *, problem: str | None = None, status: int = HTTPStatus.OK) -> Response:
    if invoice.status == "draft":
        return not_found()
    taxes = shown_taxes(invoice.amounts.taxes, invoice.rates, currency=invoice.currency)
    return page("invoice.html", status=status, invoice=invoice, taxes=taxes, problem=problem)


async def submit_invoice(database: Database, request: Request, environment: str, id: str) -> Response:
    """Pay an invoice with the card in the form. A decline is recorded, as anywhere else."""
    sent = await form(request)
    problem: Refusal | None = None
    payment: Payment | None = None
    try:
        async with database.begin() as tx:
            invoice = await invoices.get(tx, environment, id)
            found = await payments.of_invoice(tx, invoice)
            if invoice.status not in ("open", "uncollectible") or found is None:
                raise Refusal("This invoice cannot be paid any more.")
            now = await _time(tx, invoice)
            method = await create_payment_method(tx, environment=environment, details=card_of(sent), now=now)
            taken = await confirm_payment(tx, found[0], method=method.id, off_session=False, now=now)
            payment = taken.payment
    except Missing as missing:
        if missing.subject:
            raise
        problem = missing
    except Refusal as refusal:
        problem = refusal
    if payment is not None and payment.status == "requires_action":
        return await _to_authentication(database, environment, payment.id)
    if payment is not None and payment.last_refusal is not None:
        problem = Declined(payment.last_refusal.message, code=payment.last_refusal.code)
    async with database.begin() as tx:
        invoice = await invoices.get(tx, environment, id)
    if problem is None:
        return RedirectResponse(request.url.path, _SEE_OTHER)
    return _invoice(invoice, problem=problem.message, status=_status(problem))


async def _waiting(tx: AsyncConnection, environment: str, id: str) -> Payment | Setup:
    """The payment or the setup that waits for the card's holder."""
    if id.startswith("seti_"):
        return await setups.get(tx, environment, id)
    return await payments.get(tx, environment, id)


async def show_authentication(database: Database, request: Request, environment: str, id: str) -> Response:
    """The step in which the card's holder confirms; in test environments, two buttons."""
    async with database.begin() as tx:
        thing = await _waiting(tx, environment, id)
    if not hmac.compare_digest(thing.client_secret.encode(), request.query_params.get("secret", "").encode()):
        return not_found()
    if thing.status != "requires_action":
        return await _back(database, thing)
    if isinstance(thing, Payment) and thing.action_url is not None:
        return RedirectResponse(thing.action_url, _SEE_OTHER)
    return not_found() if thing.environment == LIVE else page("authentication.html", thing=thing)


async def submit_authentication(database: Database, request: Request, environment: str, id: str) -> Response:
    """What the card's holder decided."""
    agreed = (await form(request)).get("decision") == "confirm"
    async with database.begin() as tx:
        thing = await _waiting(tx, environment, id)
        secret = request.query_params.get("secret", "")
        if thing.environment == LIVE:
            return not_found()
        if not hmac.compare_digest(thing.client_secret.encode(), secret.encode()):
            return not_found()
        now = await _time(tx, thing)
        if thing.status == "requires_action":
            thing = await _decided(tx, thing, agreed=agreed, now=now)
    return await _back(database, thing)


async def _decided(tx: AsyncConnection, thing: Payment | Setup, *, agreed: bool, now: datetime) -> Payment | Setup:
    if isinstance(thing, Setup):
        if not agreed:
            return await fail_setup(tx, thing, now=now)
        return (await confirm_setup(tx, thing, method=None, authenticated=True, now=now)).setup
    if not agreed:
        return await fail_authentication(tx, thing, now=now)
    taken = await confirm_payment(tx, thing, method=None, off_session=False, authenticated=True, now=now)
    return taken.payment


async def _back(database: Database, thing: Payment | Setup) -> Response:
    """Where the holder came from: a shop, a checkout, an invoice, a top-up; else the page that says how it stands."""
    if isinstance(thing, Payment) and thing.top_up is not None:
        async with database.begin() as tx:
            bought = await top_ups.find(tx, thing.environment, thing.top_up)
        return RedirectResponse(f"/top-ups/{bought.id}/pay?secret={bought.secret}", _SEE_OTHER)
    if thing.return_url is not None:
        joint = "&" if "?" in thing.return_url else "?"
        name = "setup_intent" if isinstance(thing, Setup) else "payment_intent"
        came = "succeeded" if thing.status in _CONFIRMED else "failed"
        said = {name: thing.id, f"{name}_client_secret": thing.client_secret, "redirect_status": came}
        return RedirectResponse(f"{thing.return_url}{joint}{urlencode(said)}", _SEE_OTHER)
    if isinstance(thing, Payment) and thing.invoice is not None:
        return RedirectResponse(f"/hosted/invoice/{thing.environment}/{thing.invoice}", _SEE_OTHER)
    async with database.begin() as tx:
        session = await checkouts.of_result(tx, thing.environment, thing.id)
    if session is not None:
        return RedirectResponse(f"/hosted/checkout/{thing.environment}/{session.id}", _SEE_OTHER)
    return page("authentication.html", thing=thing)
