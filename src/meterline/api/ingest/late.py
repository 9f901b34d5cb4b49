"""`GET /ingest/late`: usage that came after its invoice was finalized, and where it went."""

from meterline.api.stripe.call import Call
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import Params, Text
from meterline.api.stripe.route import Routes
from meterline.invoice.line import InvoiceLine
from meterline.money import decimal_text
from meterline.store import customer
from meterline.usecase.moment import moment
from meterline.usecase.show_late_usage import Late, LateWindow, late_windows

routes = Routes("meter_events")


class LateList(Params):
    customer: Text


@routes.get("/ingest/late", LateList)
async def listed(call: Call[LateList]) -> Json:
    """A customer's billed windows whose usage changed since, of the last 100 days, latest first.

    `pending` is the correction that the next invoice of the subscription would carry.
    """
    of = await customer.get(call.tx, call.environment, call.params.customer)
    now = await moment(call.tx, environment=call.environment, test_clock=of.test_clock, now=call.now)
    found = await late_windows(call.tx, of, now=now)
    return list_of([render(each, of.id) for each in found], url=call.url, has_more=False)


def render(found: LateWindow, owner: str) -> Json:
    """A window of usage: what was billed for it, corrections included, and what came or was voided since."""
    billed = found.billed
    return {
        "object": "late_usage",
        "amount_billed": billed.amount,
        "corrections": [
            {
                "invoice": each.invoice,
                "invoice_status": each.status,
                "line": each.line.id,
                **_sums(each.line),
            }
            for each in billed.corrections
        ],
        "counted_at": unix(billed.counted_at),
        "currency": billed.lines[0].currency,
        "customer": owner,
        "end": unix(found.end),
        "events": found.came.events,
        "events_through_stripe": found.came.through_stripe,
        "events_voided": found.came.voided,
        "invoice": billed.invoice,
        "meter": found.meter,
        "pending": None if found.pending is None else _sums(found.pending),
        "price": found.price,
        "quantity_billed": decimal_text(billed.quantity),
        "start": unix(found.start),
        "subscription": billed.lines[0].subscription,
        "subscription_item": found.item,
    }


def _sums(line: InvoiceLine) -> Json:
    return {"amount": line.amount, "quantity": None if line.quantity is None else decimal_text(line.quantity)}


def life(found: Late) -> Json:
    """What became of one late event in one window."""
    return {"after": found.after, "billed_on": found.billed_on, "fate": found.fate}
