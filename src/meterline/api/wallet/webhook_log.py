"""`/webhooks/events`: the log of what was delivered."""

from typing import Annotated, Literal

from pydantic import Field

from meterline.api.wallet import notice_view
from meterline.api.wallet.params import Instant, Params, Text
from meterline.api.wallet.route import Call, Json, Routes
from meterline.refusal import Refusal
from meterline.store import delivery_log
from meterline.store.delivery_log import Told, Wanted

routes = Routes("webhook_endpoints")


class LogQuery(Params):
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    next: Text | None = None
    prev: Text | None = None
    destination_id: Text | None = None
    status: Literal["Success", "Failed"] | None = None
    time_gte: Instant | None = None
    time_lte: Instant | None = None


@routes.get("/webhooks/events", LogQuery)
async def log(call: Call[LogQuery]) -> Json:
    """What was delivered where, or could not be yet; newest first."""
    asked = call.params
    page = await delivery_log.page(
        call.tx,
        call.environment,
        Wanted(
            endpoint=asked.destination_id,
            delivered=None if asked.status is None else asked.status == "Success",
            since=asked.time_gte,
            until=asked.time_lte,
            older_than=_place(asked.next, "next"),
            newer_than=_place(asked.prev, "prev"),
        ),
        payload="wallet",
        limit=asked.limit,
    )
    items = [_render(each) for each in page.told]
    return {
        "models": items,
        "items": items,
        "pagination": {
            "limit": asked.limit,
            "next": _cursor(page.told[-1]) if page.told and page.older else None,
            "prev": _cursor(page.told[0]) if page.told and page.newer else None,
        },
    }


def _cursor(told: Told) -> str:
    return f"{told.position}.{told.endpoint}"


def _place(cursor: str | None, name: str) -> tuple[int, str] | None:
    if cursor is None:
        return None
    position, _, endpoint = cursor.partition(".")
    if not (position.isascii() and position.isdigit()) or len(position) > delivery_log.MOST_DIGITS:
        raise Refusal("The cursor is not one of this list.", code="cursor_invalid", param=name)
    return int(position), endpoint


def _render(told: Told) -> Json:
    delivered = told.status == "delivered"
    failed = told.attempted_at if told.status == "pending" else told.settled_at
    return {
        "id": told.notice.id,
        "destination_id": told.endpoint,
        "topic": notice_view.topic(told.notice),
        "time": told.notice.created.isoformat(),
        "status": "Success" if delivered else "Failed" if failed is not None else "Pending",
        "successful_at": told.settled_at.isoformat() if delivered and told.settled_at is not None else None,
        "failed_at": failed.isoformat() if not delivered and failed is not None else None,
        "metadata": {
            "attempts": told.attempts,
            "response_status": told.response_status,
            "error": told.error,
            "next_attempt_at": told.due_at.isoformat() if told.status == "pending" else None,
        },
        "data": notice_view.data(told.notice),
    }
