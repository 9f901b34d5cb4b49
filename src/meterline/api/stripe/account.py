"""`/v1/account`: the one account that an environment is, in as few words as the SDKs need."""

from meterline.api.stripe.call import Call
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.params import RetrieveParams
from meterline.api.stripe.route import Routes
from meterline.store import api_key, seller
from meterline.store.identifier import account_id

routes = Routes("account")


@routes.get("/v1/account", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read the account that the key belongs to."""
    business = await seller.find(call.tx, call.environment)
    oldest = (await api_key.all_of(call.tx, call.environment))[0]
    return {
        "id": account_id(call.environment),
        "object": "account",
        "business_profile": {"name": business.name, "url": business.url},
        "business_type": None,
        "capabilities": {},
        "charges_enabled": True,
        "country": "US",
        "created": unix(oldest.created),
        "default_currency": "usd",
        "details_submitted": True,
        "email": None,
        "metadata": {},
        "payouts_enabled": True,
        "settings": {"dashboard": {"display_name": call.environment, "timezone": "Etc/UTC"}},
        "type": "standard",
    }
