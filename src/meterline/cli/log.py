"""Log lines: JSON for machines, colours for a terminal, and never a secret."""

import logging
import re
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_SECRETS = re.compile(r"\b((?:sk|rk|whsec)_(?:live_|test_)?)[A-Za-z0-9]{8,}|(://[^:/@\s]+:)[^@/\s]+(?=@)")
_MASK = "…"


def configure(*, style: Literal["auto", "json", "console"], level: str) -> None:
    """Send this process's log, and that of the libraries it uses, to standard error."""
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_secrets,
    ]
    renderer = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for chatty in ("uvicorn", "uvicorn.error", "alembic", "httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))


def mask_secrets(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    """Replace keys, signing secrets and the passwords in addresses, wherever in the line they are."""
    del logger, method
    return {name: _masked(value) for name, value in line.items()}


def _masked(value: object) -> object:
    match value:
        case str():
            return _SECRETS.sub(lambda found: (found[1] or found[2]) + _MASK, value)
        case dict():
            return {name: _masked(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_masked(inner) for inner in value]
        case _:
            return value
