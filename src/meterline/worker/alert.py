"""What falls due for alerts."""

from collections.abc import Mapping

from meterline.store.alert import JUDGE_SPENDING
from meterline.usecase.judge_spending import judge_spending
from meterline.worker.handler import InTransaction

HANDLERS: Mapping[str, InTransaction] = {JUDGE_SPENDING: judge_spending}
"""By the kind of due work."""
