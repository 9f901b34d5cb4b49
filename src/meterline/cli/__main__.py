"""`python -m meterline.cli` is `meterline`."""

from meterline.cli.command import main

main()
