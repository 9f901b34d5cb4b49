"""`/accounts`: the one account that a key belongs to. There are no connected accounts."""

from http import HTTPStatus

from meterline.api.wallet.listing import page_of
from meterline.api.wallet.params import Id, ListQuery, Metadata, Params, Text
from meterline.api.wallet.problem import Problem
from meterline.api.wallet.route import Call, Json, Routes
from meterline.refusal import Missing
from meterline.store.identifier import account_id

routes = Routes("account")


class AccountCreate(Params):
    name: Text
    external_id: Id | None = None
    metadata: Metadata | None = None


class AccountList(ListQuery):
    external_id: Id | None = None


@routes.get("/accounts/self", Params)
async def own(call: Call[Params]) -> Json:
    """The account that the key belongs to: an environment. Everything but `live` is a test environment."""
    return {
        "account_id": account_id(call.environment),
        "environment": "live" if call.environment == "live" else "test",
        "org_id": None,
        "name": call.environment,
    }


@routes.get("/accounts", AccountList)
async def listed(call: Call[AccountList]) -> Json:
    """Connected accounts: none."""
    return page_of(call.params, [])


@routes.get("/accounts/{account}", Params)
async def retrieve(call: Call[Params]) -> Json:
    """A connected account: there is none."""
    raise Missing("connected account", call.path["account"], subject=True)


@routes.post("/accounts", AccountCreate, status=201)
async def create(call: Call[AccountCreate]) -> Json:
    """Refused: connected accounts are not offered."""
    raise Problem(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        detail=f"Connected accounts are not offered: a key acts for {account_id(call.environment)} alone. "
        "Another seller has an environment and a key of their own.",
        code="connected_accounts_unavailable",
    )
