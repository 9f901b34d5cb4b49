"""`/customers/{customer}/reversals`: take back all usage of one cause, looked at first."""

from typing import Annotated

from pydantic import Field, model_validator

from meterline.api.wallet import whose
from meterline.api.wallet.params import Id, Instant, Params, Text
from meterline.api.wallet.route import Call, Json, Routes
from meterline.money import decimal_text
from meterline.usecase.correct_usage import Author
from meterline.usecase.reverse_by_cause import Reversed, Which, preview, reverse

routes = Routes("wallets")


class ReversalCreate(Params):
    """Which events, by everything that is said of them, and why. With `preview`, nothing is changed."""

    reason: Text
    actor: Text | None = None
    preview: bool = False
    event_ids: Annotated[list[Id], Field(min_length=1, max_length=1000)] | None = None
    subject: Text | None = None
    event_type: Text | None = None
    period_from: Instant | None = None
    period_to: Instant | None = None

    @model_validator(mode="after")
    def _some(self) -> "ReversalCreate":
        said = (self.event_ids, self.subject, self.event_type, self.period_from, self.period_to)
        if all(each is None for each in said):
            raise ValueError("say which events: event_ids, subject, event_type, period_from or period_to")
        return self


def render(done: Reversed, *, previewed: bool) -> Json:
    """What was taken back, or would be: each correction with what came back of it."""
    return {
        "preview": previewed,
        "events": len(done.corrections),
        "returned": decimal_text(done.returned),
        "items": [
            {
                "correction_id": None if previewed else each.id,
                "event_id": each.identifier,
                "returned": each.detail.get("returned", "0"),
            }
            for each in done.corrections
        ],
    }


@routes.post("/customers/{customer}/reversals", ReversalCreate)
async def create(call: Call[ReversalCreate]) -> Json:
    """Void every event that fits, at most a thousand, and give back what the wallet paid. Again, it finds nothing."""
    found = await whose.in_path(call)
    asked = call.params
    key = call.key.id
    which = Which(
        ids=asked.event_ids,
        subject=asked.subject,
        event_type=asked.event_type,
        since=asked.period_from,
        until=asked.period_to,
    )
    done = await (preview if asked.preview else reverse)(
        call.tx,
        of=found.customer,
        which=which,
        author=Author(actor=key if asked.actor is None else f"{asked.actor} ({key})", reason=asked.reason),
        now=call.now,
    )
    return render(done, previewed=asked.preview)
