"""`/customers/{customer}/budgets`: who may spend how much per window, for everybody in the customer's tree."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from meterline.api.wallet import whose
from meterline.api.wallet.params import Asset, Id, NotNegative, Params, Text
from meterline.api.wallet.route import Call, Json, Routes
from meterline.limit.budget import Budget, Standing, path_of
from meterline.store import budget as store
from meterline.usecase import keep_budget
from meterline.usecase.publish_offer import event_name
from meterline.usecase.work_wallet import Work, work_on

routes = Routes("budgets")


class BudgetPut(Params):
    """An amount of an asset, or of the usage of an event type, by number or by one of its volumes."""

    spender: Id | None = None
    asset: Asset | None = None
    event_type: Text | None = None
    volume_field: Text | None = None
    amount: NotNegative
    window: Literal["hour", "day", "week", "month", "total"]
    hard: bool = True
    marks: Annotated[list[Text], Field(max_length=20)] = []
    owner: Literal["seller", "customer"] = "seller"

    @model_validator(mode="after")
    def _of_one_thing(self) -> "BudgetPut":
        if (self.asset is None) == (self.event_type is None):
            raise ValueError("either asset or event_type is required")
        if self.volume_field is not None and self.event_type is None:
            raise ValueError("volume_field goes with event_type")
        return self


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
        "usage": budget.usage,
        "amount": budget.amount,
        "window": budget.window,
        "hard": budget.hard,
        "marks": list(budget.marks),
        "owner": budget.owner,
        "left": standing.left,
        "spent": standing.spent,
        "reserved": standing.reserved,
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
        usage=None if asked.event_type is None else event_name(asked.event_type, asked.volume_field),
        amount=asked.amount,
        window=asked.window,
        hard=asked.hard,
        marks=tuple(asked.marks),
        owner=asked.owner,
    )
    return render(await keep_budget.put(work, new))


@routes.get("/customers/{customer}/budgets", BudgetList)
async def listed(call: Call[BudgetList]) -> Json:
    """The budgets and what they leave; with `subject`, those that it spends against."""
    standings = await keep_budget.standings(await _work(call), call.params.subject)
    return {"items": [render(each) for each in standings], "total_count": len(standings)}


@routes.delete("/customers/{customer}/budgets/{budget}", Params)
async def remove(call: Call[Params]) -> None:
    """Lift a budget."""
    work = await _work(call)
    await keep_budget.lift(work, call.path["budget"], by="seller")


@routes.put("/customers/{customer}/spenders/{spender}", SpenderPut)
async def place(call: Call[SpenderPut]) -> Json:
    """Put a key, a user or a team below another, or at the top. Refuses a circle."""
    work = await _work(call)
    id, parent = call.path["spender"], call.params.parent
    parents = await store.parents(work.connection, work.customer_id) | {id: parent}
    path = path_of(id, parents)
    await store.place(work.connection, environment=work.environment, customer_id=work.customer_id, id=id, parent=parent)
    return {"id": id, "parent": parent, "path": list(path)}
