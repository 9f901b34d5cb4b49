"""`/customers/{customer}/wallet`: balances, and value moved by hand."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from meterline.api.wallet import whose
from meterline.api.wallet.listing import page_of
from meterline.api.wallet.params import (
    Asset,
    Id,
    Instant,
    ListQuery,
    Metadata,
    NotNegative,
    NotZero,
    Number,
    Params,
    Positive,
    Since,
    Text,
    Until,
)
from meterline.api.wallet.route import Call, Json, Routes
from meterline.api.wallet.whose import Whose
from meterline.ledger.account import WALLET, Account
from meterline.money import add, multiply, round_debit
from meterline.refusal import Missing, Refusal
from meterline.store import ledger, top_up, wallet_event
from meterline.store import wallet as store
from meterline.store.database import driver
from meterline.store.wallet import Operation, Wallet
from meterline.usecase.move_funds import NewGrant, Note, adjust, charge, grant
from meterline.usecase.refund_wallet import refreshed, refund_wallet
from meterline.usecase.work_wallet import Answer, Refused
from meterline.wallet.grant import Grant
from meterline.wallet.pocket import Pocket

routes = Routes("wallets")

ACCOUNT_NAME = "default"


class AdjustmentCreate(Params):
    transaction_id: Id | None = None
    account_name: Literal["default"] | None = None
    asset: Asset
    amount: NotZero
    reason: Literal["gift", "external_topup", "external_refund", "other"] = "other"
    description: Text | None = None
    effective_at: Instant | None = None
    expires_at: Instant | None = None
    metadata: Metadata | None = None

    @model_validator(mode="after")
    def _of_a_grant(self) -> "AdjustmentCreate":
        if self.amount < 0 and (self.effective_at is not None or self.expires_at is not None):
            raise ValueError("effective_at and expires_at are for value that is given, not for value that is taken")
        return self


class ChargeCreate(Params):
    transaction_id: Id | None = None
    account_name: Literal["default"] | None = None
    asset: Asset
    amount: Positive | None = None
    subject: Text | None = None
    description: Text | None = None
    units: Positive | None = None
    input_units: Positive | None = None
    unit_price: NotNegative | None = None
    volume: Positive | None = None
    input_volume: Positive | None = None
    volume_rate: NotNegative | None = None
    package_size: Annotated[int, Field(ge=1, le=10**12)] | None = None
    marks: Annotated[list[Text], Field(max_length=50)] = []
    metadata: Metadata | None = None

    @model_validator(mode="after")
    def _one_spelling(self) -> "ChargeCreate":
        if None not in (self.units, self.input_units) or None not in (self.volume, self.input_volume):
            raise ValueError("units are told once, and so is the volume")
        return self


class GrantCreate(Params):
    id: Id | None = None
    asset: Asset
    amount: Positive
    funding: Literal["paid", "promotional"] = "promotional"
    purpose: Literal["bundled", "promotion"] = "promotion"
    priority: Annotated[int, Field(ge=0, le=100)] = 50
    scope: Annotated[list[Text], Field(max_length=50)] = []
    effective_at: Instant | None = None
    expires_at: Instant | None = None


class RefundCreate(Params):
    id: Id | None = None
    asset: Asset
    amount: Positive | None = None


class GrantList(ListQuery):
    purpose: Text | None = None
    exclude_expired: bool | None = None
    effective_from: Since | None = None
    effective_to: Until | None = None
    expired_from: Since | None = None
    expired_to: Until | None = None

    def wants(self, grant: Grant, now: datetime) -> bool:
        """Whether a grant is asked for."""
        ends = grant.expires_at
        return (
            (self.purpose is None or grant.purpose == self.purpose)
            and not (self.exclude_expired and (grant.lapsed or grant.over(now)))
            and (self.effective_from is None or grant.effective_at >= self.effective_from)
            and (self.effective_to is None or grant.effective_at < self.effective_to)
            and (self.expired_from is None or (ends is not None and ends >= self.expired_from))
            and (self.expired_to is None or (ends is not None and ends < self.expired_to))
        )


class TransactionList(Params):
    before: int | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class BalanceQuery(Params):
    as_of: Instant | None = None


class WalletPatch(Params):
    overdraft_limit: NotNegative | None = None
    status: Literal["active", "frozen", "closed"] | None = None


async def look(call: Call[Any], found: Whose) -> tuple[Wallet, dict[str, Pocket]]:
    """The wallet and its pockets as they are at this moment, without a lock. Raises Missing without a wallet."""
    connection = await driver(call.tx)
    customer_id = found.customer.customer_id
    wallets = await store.find(connection, [customer_id])
    if customer_id not in wallets:
        raise Missing("wallet of customer", found.customer.id, subject=True)
    pockets = await store.pockets(connection, wallets)
    return wallets[customer_id], {asset: pocket for (_, asset), pocket in pockets.items()}


def render_pocket(pocket: Pocket, found: Whose, on_their_way: Decimal) -> Json:
    """What one asset of a wallet holds, split into what it is made of.

    Pending are top-ups that the processor has not answered for yet and grants that begin later; and what is held.
    """
    live = [grant for grant in pocket.grants if grant.live(found.now)]
    free = {
        funding: sum((grant.free for grant in live if grant.funding == funding), pocket.debt * 0)
        for funding in ("paid", "promotional")
    }
    ends = [grant.expires_at for grant in live if grant.expires_at is not None and grant.free]
    return {
        "id": f"{ACCOUNT_NAME}:{pocket.asset}",
        "name": ACCOUNT_NAME,
        "asset": pocket.asset,
        "available": pocket.available(found.now),
        "pending_in": add(on_their_way, *(grant.free for grant in pocket.grants if grant.effective_at > found.now)),
        "pending_out": sum((grant.held for grant in pocket.grants), pocket.debt * 0),
        "paid": free["paid"],
        "promotional": free["promotional"],
        "held": sum((grant.held for grant in pocket.grants), pocket.debt * 0),
        "debt": pocket.debt,
        "lent": pocket.lent,
        "overdraft_limit": pocket.overdraft_limit,
        "spendable": pocket.spendable(found.now),
        "next_expiry": min(ends).isoformat() if ends else None,
    }


@routes.get("/customers/{customer}/wallet", Params)
async def retrieve(call: Call[Params]) -> Json:
    """A wallet with all its assets."""
    return await _render(call, await whose.in_path(call))


async def _render(call: Call[Any], found: Whose) -> Json:
    wallet, pockets = await look(call, found)
    coming = await top_up.on_their_way(call.tx, found.customer.customer_id)
    return {
        "customer_id": found.customer.id,
        "status": wallet.status,
        "overdraft_limit": wallet.overdraft_limit,
        "accounts": [render_pocket(pockets[asset], found, coming.get(asset, Decimal(0))) for asset in sorted(pockets)],
    }


@routes.patch("/customers/{customer}/wallet", WalletPatch)
async def change(call: Call[WalletPatch]) -> Json:
    """Set how far the wallet may be overdrawn; freeze, close or reopen it."""
    found = await whose.in_path(call)
    connection = await driver(call.tx)
    await ledger.lock(connection, environment=call.environment, customer_ids=[found.customer.customer_id])
    wallet, _ = await look(call, found)
    asked = call.params
    changed = Wallet(
        environment=wallet.environment,
        customer_id=wallet.customer_id,
        status=asked.status or wallet.status,
        overdraft_limit=wallet.overdraft_limit if asked.overdraft_limit is None else asked.overdraft_limit,
        created=wallet.created,
    )
    await store.save(connection, changed)
    return await _render(call, found)


@routes.get("/customers/{customer}/wallet/transactions", TransactionList)
async def transactions(call: Call[TransactionList]) -> Json:
    """What moved in the customer's books, newest first; page on with `before`, the last number seen."""
    found = await whose.in_path(call)
    rows = await ledger.rows_of(
        call.tx,
        customer_id=found.customer.customer_id,
        before=call.params.before,
        limit=call.params.limit,
    )
    items = [
        {
            "transaction": row.number,
            "line": row.line,
            "cause": {"type": row.cause.kind, "id": row.cause.id},
            "asset": row.transfer.debit.asset,
            "from": row.transfer.debit.name,
            "to": row.transfer.credit.name,
            "amount": row.transfer.amount,
            "grant": row.transfer.grant,
            "business_at": row.business_at.isoformat(),
            "booked_at": row.booked_at.isoformat(),
            "hash": row.hash.hex(),
        }
        for row in rows
    ]
    return {"items": items, "next_before": items[-1]["transaction"] if len(items) == call.params.limit else None}


@routes.get("/customers/{customer}/wallet/transactions/{transaction}", Params)
async def transaction(call: Call[Params]) -> Json:
    """What an id of the caller's was used for, and came to; the id of an event names its fee."""
    found = await whose.in_path(call)
    named = call.path["transaction"]
    connection = await driver(call.tx)
    key = (found.customer.customer_id, named)
    operation = (await store.operations(connection, [key])).get(key)
    if operation is not None:
        outcome = operation.outcome
        if operation.kind == "refund" and not operation.refused:
            outcome = await refreshed(call.tx, call.environment, outcome)
        return _operation(operation, outcome, found)
    event = (await wallet_event.find(connection, found.customer.customer_id, [named])).get(named)
    if event is None or event.asset is None:
        raise Missing("transaction", named, subject=True)
    return {
        "id": event.id,
        "type": "fee",
        "account_id": f"{ACCOUNT_NAME}:{event.asset}",
        "asset": event.asset,
        "amount": -event.fee,
        "description": event.description,
        "metadata": {},
        "refused": False,
        "created_at": event.received_at.isoformat(),
        "executed_at": event.received_at.isoformat(),
    }


def _operation(operation: Operation, came_to: Answer, found: Whose) -> Json:
    """What an operation came to. It is executed once what it gives can be used."""
    begins = came_to.get("effective_at")
    pending = begins is not None and datetime.fromisoformat(begins) > found.now
    told: Json = {"id": operation.id, "type": operation.kind, "refused": operation.refused, **came_to}
    if "asset" in came_to:
        told["account_id"] = f"{ACCOUNT_NAME}:{came_to['asset']}"
    if "amount" in came_to:
        told["amount"] = Decimal(came_to["amount"])
    created = operation.created.isoformat()
    return told | {"created_at": created, "executed_at": None if pending or operation.refused else begins or created}


@routes.get("/customers/{customer}/wallet/{account}", BalanceQuery)
async def balance(call: Call[BalanceQuery]) -> Json:
    """One asset of a wallet (`default:USD`); with `as_of`, as the books stood at that instant."""
    found = await whose.in_path(call)
    asset = _asset(call.path["account"])
    wallet, pockets = await look(call, found)
    if call.params.as_of is None:
        empty = Pocket(asset=asset, overdraft_limit=wallet.overdraft_limit)
        coming = await top_up.on_their_way(call.tx, found.customer.customer_id)
        return render_pocket(pockets.get(asset) or empty, found, coming.get(asset, Decimal(0)))
    if call.params.as_of > call.now:
        raise Refusal("Balances are of the past.", code="in_future", param="as_of")
    stood = await ledger.balances_at(
        call.tx,
        environment=call.environment,
        customer_id=found.customer.customer_id,
        instant=call.params.as_of,
    )
    parts: dict[str, Decimal] = {kind: stood.get(Account(kind, asset), wallet.overdraft_limit * 0) for kind in WALLET}
    return {
        "id": f"{ACCOUNT_NAME}:{asset}",
        "asset": asset,
        "as_of": call.params.as_of.isoformat(),
        **parts,
        "debt": -parts["debt"],
        "lent": -parts["lent"],
        "posted": sum(parts.values(), wallet.overdraft_limit * 0),
    }


def _asset(account: str) -> str:
    name, _, asset = account.partition(":")
    if name != ACCOUNT_NAME or not asset:
        raise Missing("wallet account", account, subject=True)
    return asset.upper()


@routes.post("/customers/{customer}/wallet/adjustments", AdjustmentCreate, status=201)
async def create_adjustment(call: Call[AdjustmentCreate]) -> Answer | Refused:
    """Give value by hand, or take it (negative); once per transaction_id."""
    found = await whose.in_path(call)
    asked = call.params
    return await adjust(
        call.tx,
        environment=call.environment,
        customer_id=found.customer.customer_id,
        id=asked.transaction_id or _fresh(),
        asset=asked.asset,
        amount=asked.amount,
        reason=asked.reason,
        effective_at=asked.effective_at,
        expires_at=asked.expires_at,
        description=Note(asked.description, _metadata(asked.metadata)),
        clock=found.customer.test_clock,
        now=found.now,
    )


@routes.post("/customers/{customer}/wallet/charges", ChargeCreate, status=201)
async def create_charge(call: Call[ChargeCreate]) -> Answer | Refused:
    """Debit a fee that the seller worked out: an amount, or units and volume with their rates."""
    found = await whose.in_path(call)
    asked = call.params
    return await charge(
        call.tx,
        environment=call.environment,
        customer_id=found.customer.customer_id,
        id=asked.transaction_id or _fresh(),
        asset=asked.asset,
        amount=_amount(asked),
        subject=asked.subject,
        description=Note(asked.description, _metadata(asked.metadata)),
        marks=tuple(asked.marks),
        now=found.now,
    )


def _amount(asked: ChargeCreate) -> Number:
    """The amount told, or else what units and volume come to at their rates; a started package counts as whole."""
    if asked.amount is not None:
        return asked.amount
    volume = asked.volume if asked.input_volume is None else asked.input_volume
    if volume is not None and asked.package_size is not None:
        volume = -(-volume // asked.package_size)
    units = asked.units if asked.input_units is None else asked.input_units
    pairs = ((units, asked.unit_price), (volume, asked.volume_rate))
    total = round_debit(add(*(multiply(much, rate) for much, rate in pairs if much is not None and rate is not None)))
    if not total:
        raise Refusal("A charge has an amount, or units with a unit_price.", code="required", param="amount")
    return total


@routes.post("/customers/{customer}/wallet/grants", GrantCreate, status=201)
async def create_grant(call: Call[GrantCreate]) -> Answer | Refused:
    """Give prepaid value with a priority, an end and a scope; once per id."""
    found = await whose.in_path(call)
    asked = call.params
    new = NewGrant(
        id=asked.id or _fresh(),
        asset=asked.asset,
        amount=asked.amount,
        funding=asked.funding,
        purpose=asked.purpose,
        effective_at=asked.effective_at or found.now,
        expires_at=asked.expires_at,
        priority=asked.priority,
        scope=tuple(asked.scope),
    )
    return await grant(
        call.tx,
        environment=call.environment,
        customer_id=found.customer.customer_id,
        new=new,
        asked_start=asked.effective_at,
        clock=found.customer.test_clock,
        now=found.now,
    )


@routes.post("/customers/{customer}/wallet/refunds", RefundCreate, status=201)
async def create_refund(call: Call[RefundCreate]) -> Answer | Refused:
    """Give back the money of bought value that was not used, the newest first: all of it, or an amount."""
    found = await whose.in_path(call)
    asked = call.params
    return await refund_wallet(
        call.tx,
        environment=call.environment,
        customer_id=found.customer.customer_id,
        id=asked.id or _fresh(),
        asset=asked.asset,
        amount=asked.amount,
        now=found.now,
    )


@routes.get("/customers/{customer}/wallet/{account}/grants", GrantList)
async def list_grants(call: Call[GrantList]) -> Json:
    """The grants of one asset, oldest first."""
    found = await whose.in_path(call)
    asset = _asset(call.path["account"])
    rows = await store.grants(await driver(call.tx), found.customer.customer_id, asset=asset)
    wanted = [each for each in rows if call.params.wants(each, found.now)]
    return page_of(call.params, [render_grant(each) for each in wanted])


def render_grant(grant: Grant) -> Json:
    """A grant and what is left of it."""
    return {
        "id": grant.id,
        "asset": grant.asset,
        "funding": grant.funding,
        "purpose": grant.purpose,
        "amount": grant.granted,
        "available": grant.free,
        "remaining": grant.remaining,
        "held": grant.held,
        "priority": grant.priority,
        "scope": list(grant.scope),
        "effective_at": grant.effective_at.isoformat(),
        "expires_at": None if grant.expires_at is None else grant.expires_at.isoformat(),
        "expired": grant.lapsed,
        "created_at": grant.created.isoformat(),
    }


def _metadata(said: Mapping[str, Any] | None) -> dict[str, str]:
    return {key: str(value) for key, value in (said or {}).items()}


def _fresh() -> str:
    return f"txn_{secrets.token_hex(12)}"
