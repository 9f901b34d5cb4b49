"""The command line: starts Meterline, looks after it, and shows it working."""

from meterline.cli.command import main

__all__ = ["main"]
