"""Settings: read once from the environment when the program starts, then passed on as plain values.

Every setting is a variable `METERLINE_…`; `DATABASE_URL` has the name that every host gives it. Command-line
options go before the environment.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, IPvAnyNetwork, SecretStr, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DEFAULT_PORT = 8420
_SECRET_KEY = re.compile(r"sk_(test|live)_\w+", re.ASCII)


def default_data_dir() -> Path:
    """`/var/lib/meterline` for root, whose home no other user may enter; else a directory in the user's home."""
    if os.geteuid() == 0:
        return Path("/var/lib/meterline")
    return Path("~/.local/share/meterline").expanduser()


class Settings(BaseSettings):
    """What can be set from outside; the descriptions are the reference."""

    model_config = SettingsConfigDict(env_prefix="METERLINE_", frozen=True, extra="ignore", populate_by_name=True)

    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("DATABASE_URL", "METERLINE_DATABASE_URL"),
        description="A PostgreSQL ≥ 15 to use instead of the embedded one: `postgresql://user:password@host/database`.",
    )
    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Where the embedded PostgreSQL keeps its data.",
    )
    host: str = Field(default="127.0.0.1", description="The address `serve` listens on.")
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535, description="The port `serve` listens on; 0 takes any.")
    workers: int = Field(default=1, ge=1, le=256, description="How many web processes `serve` runs.")
    api_key: SecretStr | None = Field(
        default=None,
        description="A secret key kept at the first start: `sk_test_…` for the test environment, `sk_live_…` for live.",
    )
    postgres_bin: Path | None = Field(
        default=None,
        description="The directory of PostgreSQL's programs, when the one found by itself is not wanted.",
    )
    postgres_user: str | None = Field(
        default=None,
        description="Who runs the embedded PostgreSQL when Meterline runs as root: an existing unprivileged user.",
    )
    shared_buffers_mb: int | None = Field(
        default=None,
        ge=16,
        description="Memory for the embedded PostgreSQL's cache, MB. By default a quarter of the memory, 256 at most.",
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`json` lines, `console` for people, `auto` by whether a terminal is watching."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important lines to log."
    )
    webhook_networks: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = Field(
        default=(),
        description="Networks that webhooks may call although they are not public, separated by commas: `10.0.0.0/8`.",
    )
    smtp_url: SecretStr | None = Field(
        default=None,
        description="The mail server: `smtp://user:password@host:587` (STARTTLS), `smtps://…` (TLS) or"
        " `smtp+plain://…`. Without one, e-mails wait.",
    )
    mail_from: str = Field(default="meterline@localhost", description="The address that e-mails come from.")
    public_url: str | None = Field(
        default=None,
        description="Where Meterline is reached from outside, for links to hosted pages: `https://billing.example.com`.",
    )
    stripe_api_key: SecretStr | None = Field(
        default=None,
        description="The secret key of the Stripe account that takes the money of live mode. Without one, no cards are"
        " taken there.",
    )
    stripe_api_url: str = Field(
        default="https://api.stripe.com", description="Where that Stripe account's API is reached."
    )
    stripe_webhook_secret: SecretStr | None = Field(
        default=None,
        description="What proves that a webhook to `/webhooks/stripe` is Stripe's: the endpoint's `whsec_…`.",
    )
    stop_grace_s: int = Field(
        default=30, ge=0, description="How long requests in flight may take to finish when the server stops, seconds."
    )

    @field_validator("webhook_networks", mode="before")
    @classmethod
    def _separated(cls, networks: object) -> object:
        return [each.strip() for each in networks.split(",") if each.strip()] if isinstance(networks, str) else networks

    @field_validator("api_key")
    @classmethod
    def _is_a_secret_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not _SECRET_KEY.fullmatch(key.get_secret_value()):
            raise PydanticCustomError("secret_key", "a secret key is sk_test_ or sk_live_ and letters, digits or _")
        return key
