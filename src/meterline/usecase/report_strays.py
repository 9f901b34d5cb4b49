"""Tell developers about events that were not counted, in reports of about ten seconds each."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.meter.report import Failure, MeterErrorReport, error_types
from meterline.store import meter, notice, stray
from meterline.store.database import driver
from meterline.store.identifier import public
from meterline.store.stray import Unreported

ERROR_REPORT = "v1.billing.meter.error_report_triggered"
NO_METER_FOUND = "v1.billing.meter.no_meter_found"
_NO_METER = {"no_meter", "malformed"}


async def report_strays(tx: AsyncConnection, *, environment: str, now: datetime) -> list[MeterErrorReport]:
    """One report per meter, and one for events without a meter, of everything not reported yet."""
    found = await stray.take_unreported(await driver(tx), environment=environment, now=now)
    if not found:
        return []
    meters = await meter.catalog(tx, environment)
    by_meter: dict[str | None, list[Unreported]] = {}
    for each in found:
        counted_by = meters.get(each.event_name or "")
        about = None if counted_by is None or each.code in _NO_METER else counted_by.id
        by_meter.setdefault(about, []).append(each)
    reports = [_report(environment, about, strays, now) for about, strays in by_meter.items()]
    for report in reports:
        await notice.add(
            tx,
            environment=environment,
            customer_id=None,
            type=NO_METER_FOUND if report.meter is None else ERROR_REPORT,
            subject=report,
            now=now,
        )
    return reports


def _report(environment: str, about: str | None, strays: list[Unreported], now: datetime) -> MeterErrorReport:
    failures = [
        Failure(code=each.code, message=each.message, request=each.request_key or each.identifier) for each in strays
    ]
    return MeterErrorReport(
        id=public("mer"),
        environment=environment,
        meter=about,
        start=min(each.received_at for each in strays),
        end=now,
        errors=error_types(failures),
    )
