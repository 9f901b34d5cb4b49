"""The hosted page on which a top-up is paid. What opens it is the secret in its address, not an API key."""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.money import display
from meterline.payment.method import PaymentMethod
from meterline.refusal import Missing, Refusal
from meterline.store import customer as customers
from meterline.store import payment_method, row
from meterline.store import top_up as store
from meterline.store.database import Database
from meterline.store.page import Cursor
from meterline.store.top_up import TopUp
from meterline.usecase.create_payment_method import LIVE
from meterline.usecase.moment import moment
from meterline.usecase.top_up_wallet import pay

_MOST_CARDS = 20

_TEST_CARDS = {
    "pm_card_visa": "Visa ending in 4242",
    "pm_card_mastercard": "Mastercard ending in 4444",
    "pm_card_chargeDeclined": "A card that is declined",
}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>body{{font:16px/1.5 system-ui;max-width:26rem;margin:12vh auto;padding:0 1rem}}
button,select{{font:inherit;padding:.6rem 1rem;width:100%;margin-top:.75rem}}.bad{{color:#a11}}</style></head>
<body><main><h1>{title}</h1>{body}</main></body></html>"""


def router(database: Database) -> APIRouter:
    """The pages of top-ups."""
    serving = APIRouter(include_in_schema=False)

    @serving.get("/top-ups/{id}/pay")
    async def show(id: str, request: Request) -> Response:
        async with database.begin() as tx:
            found = await _opened(tx, id, request.query_params.get("secret", ""))
            return _not_found() if found is None else _after(found, await _cards(tx, found))

    @serving.post("/top-ups/{id}/pay")
    async def submit(id: str, request: Request) -> Response:
        body = parse_qs((await request.body())[:4096].decode("utf-8", "replace"))
        card = body.get("card", [""])[0]
        async with database.begin() as tx:
            found = await _opened(tx, id, request.query_params.get("secret", ""))
            if found is None:
                return _not_found()
            cards = await _cards(tx, found)
            if not card:
                return _shown(found, cards, problem="Choose a card.")
            owner = (await customers.find_all(tx, [found.customer_id]))[found.customer_id]
            now = await moment(tx, environment=found.environment, test_clock=owner.test_clock, now=datetime.now(UTC))
            try:
                paid = await pay(tx, environment=found.environment, id=found.id, method=card, now=now)
            except Refusal as refusal:
                return _shown(found, cards, problem=refusal.message)
        if paid.payment is not None and paid.payment.status == "requires_action":
            asking = f"/hosted/authentication/{found.environment}/{paid.payment.id}"
            return RedirectResponse(f"{asking}?secret={paid.payment.client_secret}", status_code=303)
        return _after(paid.top_up, cards)

    return serving


async def _opened(tx: AsyncConnection, id: str, secret: str) -> TopUp | None:
    for environment in await store.environments(tx, id):
        try:
            found = await store.find(tx, environment, id)
        except Missing:
            continue
        if hmac.compare_digest(found.secret.encode(), secret.encode()):
            return found
    return None


async def _cards(tx: AsyncConnection, found: TopUp) -> dict[str, str]:
    """What can be paid with, by payment method: the cards the customer has saved, and in test environments Stripe's."""
    page = await payment_method.of_customer(tx, found.environment, found.customer_id, Cursor(limit=_MOST_CARDS))
    saved = [row.load(PaymentMethod, each) for each in page.rows]
    mine = {each.id: f"{each.card.brand.capitalize()} ending in {each.card.last4}, saved" for each in saved}
    return mine if found.environment == LIVE else mine | _TEST_CARDS


def _after(paid: TopUp, cards: Mapping[str, str]) -> Response:
    if paid.status == "succeeded" and paid.return_url is not None:
        return RedirectResponse(paid.return_url, status_code=303)
    return _shown(paid, cards, problem=paid.failure)


def _shown(top_up: TopUp, cards: Mapping[str, str], *, problem: str | None = None) -> HTMLResponse:
    amount = escape(display(top_up.price, top_up.currency))
    if top_up.status == "succeeded":
        return _page("Paid", f"<p>{amount} was added to your balance.</p>")
    if top_up.status == "pending" and problem is None:
        return _page("On its way", f"<p>{amount} is added to your balance as soon as the payment is confirmed.</p>")
    options = "".join(f'<option value="{escape(value)}">{escape(name)}</option>' for value, name in cards.items())
    said = f'<p class="bad" role="alert">{escape(problem)}</p>' if problem else ""
    about = f"<p>{escape(top_up.description)}</p>" if top_up.description else ""
    if not cards:
        return _page(f"Add {amount} to your balance", f"{about}{said}<p>There is no saved card to pay with.</p>")
    form = (
        f'{about}{said}<form method="post"><label>Card<select name="card">{options}</select></label>'
        f"<button>Pay {amount}</button></form>"
    )
    return _page(f"Add {amount} to your balance", form)


def _not_found() -> HTMLResponse:
    return _page("Not found", "<p>This link is not valid, or no longer.</p>", status=404)


def _page(title: str, body: str, *, status: int = 200) -> HTMLResponse:
    return HTMLResponse(
        _PAGE.format(title=title, body=body),
        status,
        {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action *"},
    )
