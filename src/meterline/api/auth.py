"""Who calls: the key in the request, looked up once a second at most per key."""

import asyncio
import base64
import time
from collections.abc import Mapping

from meterline.store import api_key
from meterline.store.api_key import ApiKey
from meterline.store.database import Database

_FRESH_S = 1.0
_MOST = 10_000
_UNKNOWN: tuple[float, ApiKey | None] = (0.0, None)


class Keys:
    """Keys as this process knows them. A revoked key is refused within a second everywhere."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[float, ApiKey | None]] = {}
        self._asked: dict[str, asyncio.Task[ApiKey | None]] = {}

    def at_hand(self, secret: str) -> tuple[float, ApiKey | None]:
        """The key with that secret and until when that is known (`time.monotonic`); not at all, where that is past."""
        return self._known.get(secret, _UNKNOWN)

    async def find(self, secret: str) -> ApiKey | None:
        """The key in use with that secret, or None."""
        until, known = self.at_hand(secret)
        if until > time.monotonic():
            return known
        # The many requests that find the same key stale at once share one look-up.
        asked = self._asked.get(secret)
        if asked is None:
            asked = self._asked[secret] = asyncio.create_task(self._look_up(secret))
            asked.add_done_callback(lambda _: self._asked.pop(secret, None))
        return await asyncio.shield(asked)

    def fresh(self, secret: str) -> ApiKey | None:
        """The key with that secret if it was looked up within the last second; None says nothing."""
        until, known = self.at_hand(secret)
        return known if until > time.monotonic() else None

    async def _look_up(self, secret: str) -> ApiKey | None:
        now = time.monotonic()
        async with self._database.begin() as tx:
            key = await api_key.find(tx, secret)
        if key is not None and key.revoked_at is not None:
            key = None
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[secret] = (now + _FRESH_S, key)
        return key


def secret_in(headers: Mapping[str, str]) -> str | None:
    """The key in `Authorization: Bearer KEY`, or as the user name of HTTP Basic; None without either."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    credentials = credentials.strip()
    match scheme.lower():
        case "bearer":
            return credentials or None
        case "basic":
            try:
                decoded = base64.b64decode(credentials, validate=True).decode()
            except ValueError:  # not base64, or not text
                return None
            return decoded.partition(":")[0] or None
    return None
