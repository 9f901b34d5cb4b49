"""The thin events about usage that could not be counted."""

from meterline.api.stripe import v2
from meterline.api.stripe.json import Json
from meterline.api.stripe.snapshot import Related
from meterline.meter.report import ErrorType, MeterErrorReport


def data(report: MeterErrorReport) -> Json:
    """What the fetched event carries."""
    return {
        "developer_message_summary": report.summary,
        "reason": {"error_count": report.count, "error_types": [_error_type(each) for each in report.errors]},
        "validation_end": v2.timestamp(report.end),
        "validation_start": v2.timestamp(report.start),
    }


def _error_type(error: ErrorType) -> Json:
    samples = [{"error_message": each.message, "request": {"identifier": each.request}} for each in error.samples]
    return {"code": error.code, "error_count": error.count, "sample_errors": samples}


def related(report: MeterErrorReport) -> Related | None:
    """The meter, where there is one."""
    if report.meter is None:
        return None
    return Related(id=report.meter, type="billing.meter", url=f"/v1/billing/meters/{report.meter}")
