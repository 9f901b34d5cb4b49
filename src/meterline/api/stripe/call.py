"""What a handler is given."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe.params import ListParams, Params
from meterline.store.api_key import ApiKey
from meterline.store.database import Database
from meterline.store.page import Cursor

P_co = TypeVar("P_co", bound=Params, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls, and how: the key, the API version to answer in, the ids of this request."""

    key: ApiKey
    version: str
    request_id: str
    idempotency_key: str | None

    @property
    def environment(self) -> str:
        return self.key.environment

    @property
    def livemode(self) -> bool:
        return self.key.livemode


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged(Generic[P_co]):
    """A call that opens its own transactions, because it talks to others between them.

    `now` is the wall clock in whole seconds, UTC; a customer on a test clock has another now.
    """

    caller: Caller
    params: P_co
    path: Mapping[str, str]
    url: str
    now: datetime
    database: Database

    @property
    def environment(self) -> str:
        return self.caller.environment

    @property
    def livemode(self) -> bool:
        return self.caller.livemode


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Staged[P_co]):
    """A call inside one transaction, which commits when the handler returns."""

    tx: AsyncConnection


def cursor(params: ListParams) -> Cursor:
    """Where the page asked for begins."""
    return Cursor(limit=params.limit, starting_after=params.starting_after, ending_before=params.ending_before)
