"""What stands around every section: who is meant, the way to the other sections, and the way back."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.responses import Response

from meterline.portal import (
    balance,
    details,
    finished,
    invoices,
    limits,
    overview,
    payment_methods,
    subscriptions,
    usage,
)
from meterline.portal.guest import FORM_FIELD, NOTES, Guest, Section
from meterline.portal.page import page
from meterline.portal.shown import zone_of
from meterline.usecase.enter_portal import Closed

SECTIONS: tuple[Section, ...] = (
    overview.SECTION,
    balance.SECTION,
    usage.SECTION,
    subscriptions.SECTION,
    invoices.SECTION,
    payment_methods.SECTION,
    limits.SECTION,
    details.SECTION,
)


def sections(guest: Guest) -> Sequence[Section]:
    """What the visitor has: everything that the configuration and their wallet give, or the one thing they came for."""
    mine = [each for each in SECTIONS if each.has(guest)]
    flow = guest.visit.session.flow
    if flow is None or flow.after.type == "portal_homepage":
        return mine
    return [*(each for each in mine if flow.type in each.flows), finished.SECTION]


def beginning(guest: Guest) -> Section:
    """Where the visitor begins."""
    flow = guest.visit.session.flow
    if flow is None:
        return overview.SECTION
    return next(each for each in sections(guest) if flow.type in each.flows or each is finished.SECTION)


def frame(
    guest: Guest, section: Section, shown: Mapping[str, Any], *, problem: str | None = None, status: int = HTTPStatus.OK
) -> Response:
    """A section as a page."""
    visit = guest.visit
    flow = visit.session.flow
    in_flow = flow is not None and flow.type in section.flows
    return page(
        section.template,
        status=status,
        refreshes=section.live,
        home=guest.home,
        here=section.name,
        title=section.title,
        sections=[] if in_flow or section is finished.SECTION else sections(guest),
        flow=flow if in_flow else None,
        live=section.live,
        form_name=FORM_FIELD,
        form_token=guest.form_token,
        customer=visit.customer,
        configuration=visit.configuration,
        session=visit.session,
        is_test=visit.environment != "live",
        zone=zone_of(visit.customer.timezone),
        now=guest.second,
        done=NOTES.get(guest.query.get("done", "")),
        problem=problem,
        said=guest.said,
        **shown,
    )


def closed(shut: Closed, environment: str, id: str) -> Response:
    """The page of a portal that does not open, with a way on where the link itself was right."""
    session = shut.session
    return page(
        "portal/closed.html",
        status=HTTPStatus.FORBIDDEN,
        back=None if session is None else session.failure_url or session.return_url,
        renewable=session is not None and session.recovery is not None,
        path=f"/portal/{environment}/{id}",
        said=None,
    )
