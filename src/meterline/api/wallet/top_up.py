"""`/top-ups`: money into a wallet by a hosted page, and wallets that recharge themselves."""

import secrets
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from meterline.api.wallet import whose
from meterline.api.wallet.params import Asset, Id, Instant, Metadata, NotNegative, Params, Positive, Text
from meterline.api.wallet.route import Call, Json, Routes
from meterline.customer.portal import check_link
from meterline.money import multiply, round_debit, to_major
from meterline.refusal import Missing
from meterline.store import customer as customers
from meterline.store import top_up as store
from meterline.store.asset import inverse
from meterline.store.top_up import TopUp
from meterline.usecase.set_recharge import AskedRecharge, set_recharge, stop_recharge
from meterline.usecase.top_up_wallet import Asked, begin

routes = Routes("top_ups")


class Destination(Params):
    account_name: Literal["default"] | None = None
    asset: Asset | None = None
    exchange_rate: Positive | None = None


class TopUpCreate(Params):
    customer_id: Id | None = None
    customer_external_id: Id | None = None
    amount: Positive
    currency: Text = "USD"
    description: Text | None = None
    destination: Destination | None = None
    credit_expires_at: Instant | None = None
    return_url: Text | None = None
    failure_url: Text | None = None
    metadata: Metadata | None = None


class RechargePut(Params):
    enabled: bool = True
    threshold: NotNegative
    target: Positive
    monthly_cap: Positive | None = None
    most_per_day: Annotated[int, Field(ge=1, le=100)] = 3
    cool_off_s: Annotated[int, Field(ge=1, le=86_400)] = 300
    payment_method: Text | None = None


def render(top_up: TopUp, customer: str, base_url: str) -> Json:
    """A top-up, and where it is paid."""
    return {
        "id": top_up.id,
        "customer_id": customer,
        "status": top_up.status,
        "amount": to_major(top_up.price, top_up.currency),
        "units": top_up.amount,
        "asset": top_up.asset,
        "currency": top_up.currency.upper(),
        "price": top_up.price,
        "automatic": top_up.automatic,
        "failure": top_up.failure,
        "payment_intent": top_up.payment,
        "destination": {
            "account_name": "default",
            "asset": top_up.asset,
            "exchange_rate": None if top_up.asset == top_up.currency.upper() else _rate(top_up),
        },
        "description": top_up.description,
        "credit_expires_at": None if top_up.credit_expires_at is None else top_up.credit_expires_at.isoformat(),
        "metadata": dict(top_up.metadata),
        "redirect_url": link(top_up, base_url),
        "created_at": top_up.created.isoformat(),
        "expires_at": top_up.expires_at.isoformat(),
    }


def link(top_up: TopUp, base_url: str) -> str:
    """Where the customer pays."""
    return f"{base_url}/top-ups/{top_up.id}/pay?secret={top_up.secret}"


def _rate(top_up: TopUp) -> Decimal:
    """What one unit cost, in the money that was paid."""
    return round_debit(multiply(to_major(top_up.price, top_up.currency), inverse(top_up.amount)))


@routes.post("/top-ups", TopUpCreate, status=201)
async def create(call: Call[TopUpCreate]) -> Json:
    """Ask for money for a wallet; `redirect_url` is where the customer pays. Credited only once it is paid."""
    asked = call.params
    found = await whose.named(
        call.tx,
        environment=call.environment,
        id=asked.customer_id,
        external=asked.customer_external_id,
        now=call.now,
    )
    for url, param in ((asked.return_url, "return_url"), (asked.failure_url, "failure_url")):
        if url is not None:
            check_link(url, param=param)
    made = await begin(
        call.tx,
        environment=call.environment,
        customer_id=found.customer.customer_id,
        asked=Asked(
            amount=asked.amount,
            currency=asked.currency,
            asset=None if asked.destination is None else asked.destination.asset,
            exchange_rate=None if asked.destination is None else asked.destination.exchange_rate,
            description=asked.description,
            return_url=asked.return_url,
            failure_url=asked.failure_url,
            credit_expires_at=asked.credit_expires_at,
        ),
        secret=secrets.token_urlsafe(24),
        metadata=asked.metadata or {},
        now=found.now,
    )
    return render(made, found.customer.id, call.base_url)


@routes.get("/top-ups/{top_up}", Params)
async def retrieve(call: Call[Params]) -> Json:
    """A top-up as it stands."""
    found = await store.find(call.tx, call.environment, call.path["top_up"])
    customer = (await customers.find_all(call.tx, [found.customer_id]))[found.customer_id]
    theirs = await whose.at(call.tx, customer, call.now)
    over = found.status == "initiated" and found.expires_at <= theirs.now
    return render(replace(found, status="expired") if over else found, customer.id, call.base_url)


@routes.put("/customers/{customer}/wallet/{account}/auto-recharge", RechargePut)
async def put_rule(call: Call[RechargePut]) -> Json:
    """Let a wallet buy value by itself when it falls below a threshold; who is charged is a saved payment method."""
    found = await whose.in_path(call)
    asked = call.params
    asset = _currency(call)
    await set_recharge(
        call.tx,
        customer=found.customer,
        asset=asset,
        asked=AskedRecharge(
            enabled=asked.enabled,
            threshold=asked.threshold,
            target=asked.target,
            monthly_cap=asked.monthly_cap,
            most_per_day=asked.most_per_day,
            cool_off=timedelta(seconds=asked.cool_off_s),
            payment_method=asked.payment_method,
        ),
    )
    return await _told(call, found.customer.customer_id, asset)


@routes.get("/customers/{customer}/wallet/{account}/auto-recharge", Params)
async def get_rule(call: Call[Params]) -> Json:
    """The rule, and why the wallet did or did not recharge lately."""
    found = await whose.in_path(call)
    return await _told(call, found.customer.customer_id, _currency(call))


@routes.delete("/customers/{customer}/wallet/{account}/auto-recharge", Params)
async def stop(call: Call[Params]) -> None:
    """Switch automatic recharging off."""
    found = await whose.in_path(call)
    await stop_recharge(call.tx, customer=found.customer, asset=_currency(call))


def _currency(call: Call[Any]) -> str:
    name, _, asset = call.path["account"].partition(":")
    if name != "default" or not asset:
        raise Missing("wallet account", call.path["account"], subject=True)
    return asset.upper()


async def _told(call: Call[Any], customer_id: Any, asset: str) -> Json:
    rule = await store.rule(call.tx, customer_id, asset)
    if rule is None:
        raise Missing("auto-recharge", asset, subject=True)
    log = await store.logged(call.tx, customer_id, asset)
    return {
        "enabled": rule.enabled,
        "asset": asset,
        "threshold": rule.threshold,
        "target": rule.target,
        "monthly_cap": rule.monthly_cap,
        "most_per_day": rule.most_per_day,
        "cool_off_s": int(rule.cool_off.total_seconds()),
        "payment_method": rule.payment_method,
        "log": [
            {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in each.items()}
            for each in log
        ],
    }
