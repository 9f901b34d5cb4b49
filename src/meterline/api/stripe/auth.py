"""Stripe's answers to a missing, wrong or too narrow key."""

from collections.abc import Mapping
from http import HTTPStatus

from meterline.api.auth import Keys, secret_in
from meterline.api.stripe.error import StripeError
from meterline.store.api_key import ApiKey

_NO_KEY = (
    "You did not provide an API key. You need to provide your API key in the Authorization header, using"
    " Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
)


async def authenticate(keys: Keys, headers: Mapping[str, str]) -> ApiKey:
    """The caller's key, or a 401."""
    secret = secret_in(headers)
    if secret is None:
        raise _unauthorized(_NO_KEY)
    key = await keys.find(secret)
    if key is None:
        raise _unauthorized(f"Invalid API Key provided: {masked(secret)}")
    return key


def _unauthorized(message: str) -> StripeError:
    error = StripeError.invalid(message, status=HTTPStatus.UNAUTHORIZED)
    error.headers["www-authenticate"] = 'Bearer realm="Meterline"'
    return error


def authorize(key: ApiKey, resource: str, method: str) -> None:
    """A 403 unless the key may read (GET) or write (anything else) the resource."""
    access = "read" if method == "GET" else "write"
    if not key.allows(resource, access):
        raise StripeError.invalid(
            f"The provided key ending in {key.last4} does not have the permission '{resource}: {access}' that"
            " this endpoint requires.",
            status=HTTPStatus.FORBIDDEN,
        )


def check_account(headers: Mapping[str, str], own: str) -> None:
    """A 403 when the call is meant for another account: every environment is one, and connects to no other."""
    for name in ("stripe-account", "stripe-context"):
        asked = headers.get(name)
        if asked not in (None, "", own):
            raise StripeError.invalid(
                f"The provided key does not have access to account '{str(asked)[:60]}' (or that account does not"
                " exist). Application access may have been revoked.",
                code="account_invalid",
                status=HTTPStatus.FORBIDDEN,
            )


def masked(secret: str) -> str:
    """Enough of a wrong key to recognise it, not enough to use it."""
    if len(secret) <= 12:
        return "*" * min(len(secret), 12)
    return f"{secret[:8]}{'*' * 8}{secret[-4:]}"
