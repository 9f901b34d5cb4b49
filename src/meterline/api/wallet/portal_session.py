"""`/billing-portal/sessions`: a link to the customer's own page."""

from meterline.api import link
from meterline.api.wallet import whose
from meterline.api.wallet.params import Id, Params, Text
from meterline.api.wallet.route import Call, Json, Routes
from meterline.usecase.configure_portal import default_configuration
from meterline.usecase.open_portal import AskedPortal, open_portal

routes = Routes("billing_portal_sessions")


class SessionCreate(Params):
    customer_id: Id | None = None
    customer_external_id: Id | None = None
    return_url: Text | None = None
    failure_url: Text | None = None


@routes.post("/billing-portal/sessions", SessionCreate)
async def create(call: Call[SessionCreate]) -> Json:
    """Give a customer a way into the portal: `redirect_url` opens it for ten minutes."""
    asked = call.params
    found = await whose.named(
        call.tx,
        environment=call.environment,
        id=asked.customer_id,
        external=asked.customer_external_id,
        now=call.now,
    )
    opened = await open_portal(
        call.tx,
        customer=found.customer,
        configuration=await default_configuration(call.tx, call.environment, now=call.now),
        asked=AskedPortal(return_url=asked.return_url, failure_url=asked.failure_url),
        now=call.now,
    )
    session = opened.session
    return {
        "redirect_url": link.portal(session.environment, session.id, opened.secret),
        "expires_at": session.link_expires_at.isoformat(),
    }
