"""What the domain says when the answer is no.

A refusal is an expected outcome: it changes nothing and is told to the caller. The doors translate it
into their own dialect; no refusal knows an HTTP status.
"""

from collections.abc import Mapping


class Refusal(Exception):
    """The request cannot be carried out as asked.

    `message` is for people, `code` is a stable token for programs, `param` names the parameter at fault
    in the caller's own spelling (`items[0][price]`).
    """

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param


class Missing(Refusal):
    """The object the caller names does not exist in this environment.

    `subject` says that the call itself is about that object (its id is in the path), rather than that a
    parameter mentions it: the doors answer "not found" to the first and "bad request" to the second.
    """

    def __init__(self, kind: str, id: str, *, param: str | None = None, subject: bool = False) -> None:
        super().__init__(f"No such {kind}: '{id}'", code="resource_missing", param=param)
        self.kind = kind
        self.id = id
        self.subject = subject


class Conflict(Refusal):
    """Somebody else is using the object right now; the same request may succeed later."""


class Declined(Refusal):
    """The payment processor refused to move the money.

    `about` holds what else the caller is shown with the refusal, as their door writes it.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        decline_code: str | None = None,
        param: str | None = None,
        payment_method: str | None = None,
        about: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message, code=code, param=param)
        self.decline_code = decline_code
        self.payment_method = payment_method
        self.about = dict(about or {})
