"""RFC 7807 problems, and the one table from refusals to HTTP statuses in this dialect."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError

from meterline.api.asgi import Answer
from meterline.api.wallet.json import encode
from meterline.refusal import Conflict, Missing, Refusal

_PAYMENT_REQUIRED = frozenset({"insufficient_funds", "budget_exceeded", "nothing_refundable"})
_FORBIDDEN = frozenset({"wallet_frozen", "wallet_closed", "budget_of_seller"})
_TAKEN = frozenset({"code_taken", "external_id_taken", "id_conflict"})


class Problem(Exception):
    """An answer that says what went wrong. `members` are figures for programs, beside RFC 7807's own."""

    def __init__(
        self,
        *,
        status: int,
        detail: str,
        code: str,
        errors: Mapping[str, Sequence[str]] | None = None,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code
        self.errors = errors
        self.members = dict(members or {})
        self.headers = dict(headers or {})

    def answer(self, instance: str) -> Answer:
        """The HTTP response; `instance` is the path that was called."""
        body = {
            **self.members,
            "type": f"urn:meterline:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "code": self.code,
        }
        if self.errors is not None:
            body["errors"] = self.errors
        return Answer(self.status, encode(body), {**self.headers, "content-type": "application/problem+json"})


def of_refusal(refusal: Refusal) -> Problem:
    """What the domain said, in this dialect."""
    code = refusal.code or "refused"
    members = getattr(refusal, "members", {})
    errors = None if refusal.param is None else {refusal.param: [refusal.message]}
    return Problem(status=_status(refusal, code), detail=refusal.message, code=code, errors=errors, members=members)


def _status(refusal: Refusal, code: str) -> HTTPStatus:
    if isinstance(refusal, Missing):
        return HTTPStatus.NOT_FOUND if refusal.subject else HTTPStatus.UNPROCESSABLE_ENTITY
    if isinstance(refusal, Conflict) or code in _TAKEN:
        return HTTPStatus.CONFLICT
    if code in _PAYMENT_REQUIRED:
        return HTTPStatus.PAYMENT_REQUIRED
    if code in _FORBIDDEN:
        return HTTPStatus.FORBIDDEN
    return HTTPStatus.UNPROCESSABLE_ENTITY


def of_validation(error: ValidationError) -> Problem:
    """Which fields are wrong, and why."""
    errors: dict[str, list[str]] = {}
    for each in error.errors(include_url=False):
        path = ".".join(str(part) for part in each["loc"]) or "body"
        errors.setdefault(path, []).append(each["msg"])
    return Problem(
        status=HTTPStatus.BAD_REQUEST,
        detail="The request has fields that cannot be accepted.",
        code="validation",
        errors=errors,
    )


def unauthorized(detail: str) -> Problem:
    """No key, or a wrong one."""
    return Problem(status=HTTPStatus.UNAUTHORIZED, detail=detail, code="unauthorized")


def unavailable() -> Problem:
    """The database is away or cannot write."""
    return Problem(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        detail="The database cannot be reached or cannot write just now. Sending the same request again is safe.",
        code="unavailable",
        headers={"retry-after": "1"},
    )


def overloaded(retry_after: int) -> Problem:
    """Too much is waiting; nothing was taken. `retry_after` is seconds."""
    return Problem(
        status=HTTPStatus.TOO_MANY_REQUESTS,
        detail="Calls arrive faster than they can be answered. Nothing was done; send the same again.",
        code="overloaded",
        headers={"retry-after": str(retry_after)},
    )


def internal() -> Problem:
    """What a caller sees of a bug."""
    return Problem(status=HTTPStatus.INTERNAL_SERVER_ERROR, detail="Something went wrong on our side.", code="internal")
