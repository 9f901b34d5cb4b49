"""What is told about events that could not be counted: how many, by which error, with samples."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

MAX_SAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One event that was not counted. `request` is the idempotency key or identifier it was told under."""

    code: str
    message: str
    request: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One failure shown as an example."""

    message: str
    request: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorType:
    """The failures of one code."""

    code: str
    count: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterErrorReport:
    """The events of one meter that failed in [start, end), or, without a meter, those no meter was found for."""

    id: str
    environment: str
    meter: str | None
    start: datetime
    end: datetime
    errors: tuple[ErrorType, ...]

    @property
    def count(self) -> int:
        """How many events failed."""
        return sum(error.count for error in self.errors)

    @property
    def summary(self) -> str:
        """One sentence for a developer."""
        noun = "event" if self.count == 1 else "events"
        return f"There {'is' if self.count == 1 else 'are'} {self.count} invalid {noun}"


def error_types(failures: Iterable[Failure]) -> tuple[ErrorType, ...]:
    """The failures by code, most frequent first, each with a few samples."""
    by_code: dict[str, list[Failure]] = {}
    for failure in failures:
        by_code.setdefault(failure.code, []).append(failure)
    found = [_error_type(code, of_code) for code, of_code in by_code.items()]
    return tuple(sorted(found, key=lambda each: (-each.count, each.code)))


def _error_type(code: str, failures: Sequence[Failure]) -> ErrorType:
    samples = tuple(Sample(message=each.message, request=each.request) for each in failures[:MAX_SAMPLES])
    return ErrorType(code=code, count=len(failures), samples=samples)
