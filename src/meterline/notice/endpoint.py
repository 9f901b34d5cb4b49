"""Webhook endpoints: who wants to be told what, and the secrets that sign what they are told."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit
from uuid import UUID

from meterline.notice.topic import TOPICS
from meterline.refusal import Refusal

MAX_ENDPOINTS = 16
LONGEST_OVERLAP = timedelta(hours=24)
EVERYTHING = "*"

StripePayload = Literal["snapshot", "thin"]
Payload = Literal["snapshot", "thin", "wallet"]
Status = Literal["enabled", "disabled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A signing secret; `until` is when a rolled one stops signing (null: it is the current one)."""

    value: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpoint:
    """One address and what it wants.

    `payload` says whether it gets whole objects (in the shapes of `api_version`, null meaning the newest), thin
    notifications, or the topics of the wallet dialect. `secrets` has the current secret first. `created` and `updated`
    are UTC.
    """

    environment: str
    id: str
    sequence: UUID
    url: str
    enabled_events: tuple[str, ...]
    payload: Payload
    api_version: str | None
    status: Status = "enabled"
    name: str | None = None
    description: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[Secret, ...]
    created: datetime
    updated: datetime

    @property
    def livemode(self) -> bool:
        """True in the one live environment, false in test and in every sandbox."""
        return self.environment == "live"

    @property
    def secret(self) -> str:
        """The current signing secret."""
        return self.secrets[0].value

    def wants(self, type: str) -> bool:
        """Whether the endpoint asked for events of this type; a thin one may name it `v1.<type>`."""
        wanted = self.enabled_events
        if self.payload == "wallet":
            return type in TOPICS and (EVERYTHING in wanted or type in wanted)
        return EVERYTHING in wanted or type in wanted or (self.payload == "thin" and f"v1.{type}" in wanted)

    def signing_secrets(self, now: datetime) -> tuple[str, ...]:
        """The secrets that sign at `now`: the current one first, then rolled ones still valid."""
        return tuple(each.value for each in self.secrets if each.until is None or each.until > now)


def rolled(endpoint: WebhookEndpoint, *, secret: str, overlap: timedelta, now: datetime) -> WebhookEndpoint:
    """The endpoint with a new secret, the old one signing beside it for `overlap` (at most a day)."""
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise Refusal("The old secret can stay valid for at most 24 hours.", param="expires_in")
    kept = [
        replace(each, until=min(now + overlap, each.until or now + overlap))
        for each in endpoint.secrets
        if each.until is None or each.until > now
    ]
    living = [each for each in kept if each.until is not None and each.until > now]
    return replace(endpoint, secrets=(Secret(value=secret), *living), updated=now)


def check_address(url: str, *, livemode: bool, param: str) -> None:
    """Refuse an address that cannot be a webhook's: live ones are https, none carries a password."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise Refusal("Invalid URL: it cannot be parsed.", code="url_invalid", param=param) from None
    if parts.scheme not in ("http", "https") or not host:
        raise Refusal(
            "Invalid URL: An explicit scheme (such as https) must be provided.", code="url_invalid", param=param
        )
    if parts.username is not None or parts.password is not None:
        raise Refusal("Invalid URL: it may not carry credentials.", code="url_invalid", param=param)
    if livemode and parts.scheme != "https":
        raise Refusal(
            "Invalid URL: URL must be publicly accessible over HTTPS in live mode.", code="url_invalid", param=param
        )


def check_events(enabled_events: tuple[str, ...], *, param: str = "enabled_events") -> None:
    """Refuse a selection of nothing, or `*` beside named types."""
    if not enabled_events:
        raise Refusal("You must select at least one event type.", param=param)
    if EVERYTHING in enabled_events and len(enabled_events) > 1:
        raise Refusal("`*` selects every event type and cannot be combined with others.", param=param)


def check_topics(topics: tuple[str, ...], *, param: str = "topics") -> None:
    """Refuse a selection of nothing, of what is never told, or `*` beside named topics."""
    check_events(topics, param=param)
    unknown = sorted(set(topics) - TOPICS.keys() - {EVERYTHING})
    if unknown:
        raise Refusal(f"'{unknown[0]}' is not a topic; topics are {', '.join(TOPICS)}.", param=param)


TEST = "v2.core.webhook.test"
ALL_WEBHOOKS = "webhooks"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicTest:
    """A made-up notice of a topic: to the endpoint `id` alone, or (`webhooks`) to all that want the topic."""

    id: str
    topic: str
    data: Mapping[str, object]


PING = "v2.core.event_destination.ping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """A test notice to one endpoint: it is sent to that endpoint alone, whatever it subscribed to."""

    id: str
