"""`/customers/{customer}/budgets`: who may spend how much per window, for everybody in the customer's tree."""

from typing import Annotated, Any, Literal

from pydantic import Field

from meterline.api.wallet import whose
from meterline.api.wallet.params import Asset, Id, NotNegative, Params, Text
from meterline.api.wallet.route import Call, Json, Routes
from meterline.limit.budget import Budget, Standing, path_of
from meterline.refusal import Missing
from meterline.store import budget as store
from meterline.usecase import keep_budget
from meterline.usecase.work_wallet import Work, work_on

routes = Routes("budgets")


class BudgetPut(Params):
    spender: Id | None = None
    asset: Asset
    amount: NotNegative
    window: Literal["hour", "day", "week", "month", "total"]
    hard: bool = True
    marks: Annotated[list[Text], Field(max_length=20)] = []
    owner: Literal["seller", "customer"] = "seller"


class SpenderPut(Params):
    parent: Id | None = None


class BudgetList(Params):
    subject: Id | None = None


def render(standing: Standing) -> Json:
    """A budget and what it leaves."""
    budget = standing.budget
    return {
        "id": budget.id,
        "spender": budget.spender,
        "asset": budget.asset,
        "amount": budget.amount,
        "window": budget.window,
        "hard": budget.hard,
        "marks": list(budget.marks),
        "owner": budget.owner,
        "left": standing.left,
        "resets_at": None if standing.resets_at is None else standing.resets_at.isoformat(),
    }


async def _work(call: Call[Any]) -> Work:
    found = await whose.in_path(call)
    return await work_on(
        call.tx,
        environment=call.environment,
        customer_id=found.customer.customer_id,
        now=found.now,
        active=False,
    )


@routes.put("/customers/{customer}/budgets/{budget}", BudgetPut)
async def put(call: Call[BudgetPut]) -> Json:
    """Set a budget; it applies from now on, and what was spent in its window counts."""
    work = await _work(call)
    asked = call.params
    new = Budget(
        id=call.path["budget"],
        spender=asked.spender,
        asset=asked.asset,
        amount=asked.amount,
        window=asked.window,
        hard=asked.hard,
        marks=tuple(asked.marks),
        owner=asked.owner,
    )
    await store.put(work.connection, environment=work.environment, customer_id=work.customer_id, new=new)
    standings = await keep_budget.standings(work)
    return render(next(each for each in standings if each.budget.id == new.id))


@routes.get("/customers/{customer}/budgets", BudgetList)
async def listed(call: Call[BudgetList]) -> Json:
    """The budgets and what they leave; with `subject`, those that it spends against."""
    standings = await keep_budget.standings(await _work(call), call.params.subject)
    return {"items": [render(each) for each in standings], "total_count": len(standings)}


@routes.delete("/customers/{customer}/budgets/{budget}", Params)
async def remove(call: Call[Params]) -> None:
    """Lift a budget."""
    work = await _work(call)
    if not await store.remove(work.connection, customer_id=work.customer_id, id=call.path["budget"]):
        raise Missing("budget", call.path["budget"], subject=True)


@routes.put("/customers/{customer}/spenders/{spender}", SpenderPut)
async def place(call: Call[SpenderPut]) -> Json:
    """Put a key, a user or a team below another, or at the top. Refuses a circle."""
    work = await _work(call)
    id, parent = call.path["spender"], call.params.parent
    parents = await store.parents(work.connection, work.customer_id) | {id: parent}
    path = path_of(id, parents)
    await store.place(work.connection, environment=work.environment, customer_id=work.customer_id, id=id, parent=parent)
    return {"id": id, "parent": parent, "path": list(path)}
