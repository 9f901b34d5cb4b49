"""Stripe's error envelope, and the one table from refusals to HTTP statuses."""

from http import HTTPStatus
from typing import Self

from meterline.api.stripe.json import Json
from meterline.refusal import Conflict, Declined, Missing, Refusal

DOCS = "https://stripe.com/docs/error-codes/"


class StripeError(Exception):
    """An answer in Stripe's error envelope: HTTP status, type, and the members that are not null."""

    def __init__(
        self,
        *,
        status: int,
        type: str,
        message: str,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
        **members: object,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.message = message
        self.code = code
        self.param = param
        self.headers = headers or {}
        self.members = members

    @classmethod
    def invalid(cls, message: str, *, code: str | None = None, param: str | None = None, status: int = 400) -> Self:
        """An `invalid_request_error`, which is what most refusals are."""
        return cls(status=status, type="invalid_request_error", message=message, code=code, param=param)

    @classmethod
    def of(cls, refusal: Refusal) -> Self:
        """The wire form of what the domain said."""
        match refusal:
            case Declined():
                return cls(
                    status=HTTPStatus.PAYMENT_REQUIRED,
                    type="card_error",
                    message=refusal.message,
                    code=refusal.code,
                    param=refusal.param,
                    headers=None,
                    decline_code=refusal.decline_code,
                    **{"payment_method": refusal.payment_method, **refusal.about},
                )
            case Missing(subject=True):
                return cls.invalid(refusal.message, code=refusal.code, param=refusal.param, status=HTTPStatus.NOT_FOUND)
            case Conflict():
                return cls.invalid(refusal.message, code=refusal.code, param=refusal.param, status=HTTPStatus.CONFLICT)
            case _:
                return cls.invalid(refusal.message, code=refusal.code, param=refusal.param)

    def body(self) -> Json:
        """The envelope; null members are left out."""
        members: dict[str, object] = {
            "code": self.code,
            "doc_url": DOCS + self.code.replace("_", "-") if self.code else None,
            "message": self.message,
            "param": self.param,
            "type": self.type,
            **self.members,
        }
        return {"error": {name: value for name, value in members.items() if value is not None}}


def internal() -> StripeError:
    """What a caller sees of a bug; the details are in the log under the request id."""
    return StripeError(
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        type="api_error",
        message="An unknown error occurred. The request id identifies it in the server's log.",
    )


def unavailable() -> StripeError:
    """The database is away or cannot write. Nothing is kept under the idempotency key, unless the work was done."""
    return StripeError(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        type="api_error",
        message=(
            "The database cannot be reached or cannot write just now. Sending the request again with the same"
            " idempotency key is safe."
        ),
        headers={"retry-after": "1", "stripe-should-retry": "true"},
    )


def locked() -> StripeError:
    """Others held what the call needs for too long."""
    return StripeError.invalid(
        "This object cannot be accessed right now because another API request or Stripe process is currently"
        " accessing it. If you see this error intermittently, retry the request.",
        code="lock_timeout",
        status=HTTPStatus.TOO_MANY_REQUESTS,
    )


def unknown_url(method: str, path: str) -> StripeError:
    """The URL is not one of ours."""
    hint = (
        " If you are trying to list objects, remove the trailing slash. If you are trying to retrieve an"
        " object, make sure you passed a valid (non-empty) identifier in your code."
        if path.endswith("/")
        else ""
    )
    return StripeError.invalid(f"Unrecognized request URL ({method}: {path}).{hint}", status=HTTPStatus.NOT_FOUND)
