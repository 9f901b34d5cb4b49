"""Options that several commands take, and the settings they make together with the environment."""

import sys
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from pydantic import ValidationError
from rich.console import Console

from meterline.cli import log
from meterline.config import Settings

DataDir: TypeAlias = Annotated[
    Path | None, typer.Option(help="Where the embedded PostgreSQL keeps its data.", show_default=False)
]


def settings_with(**given: object) -> Settings:
    """The settings of the environment, overridden by the options that were given; logging follows them.

    Ends the program with a message when a setting makes no sense.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        settings = Settings(**chosen)  # type: ignore[arg-type]
    except ValidationError as invalid:
        out = Console(stderr=True)
        for error in invalid.errors():
            name = "_".join(map(str, error["loc"])).upper().removeprefix("METERLINE_")
            variable = name if name == "DATABASE_URL" else f"METERLINE_{name}"
            out.print(f"[red]✗[/] {variable}: {error['msg']}", highlight=False)
        sys.exit(1)
    log.configure(style=settings.log_format, level=settings.log_level)
    return settings
