"""Addresses of hosted pages, as they stand in API objects.

An object is rendered for a request, which knows under which address it arrived, and for a webhook, which does not;
so the address of the latest request of the process is remembered, until one is configured.
"""

from urllib.parse import quote

from starlette.requests import Request

DEFAULT_HOME = "http://127.0.0.1:8420"


class Home:
    """Where this server is reached from outside."""

    def __init__(self) -> None:
        self.configured: str | None = None
        self.seen = DEFAULT_HOME

    def notice(self, request: Request) -> None:
        """Remember the address that a request came to."""
        self.seen = str(request.base_url).rstrip("/")

    @property
    def url(self) -> str:
        return self.configured or self.seen


HOME = Home()


def hosted(kind: str, environment: str, id: str, secret: str | None = None) -> str:
    """The page of an object: `…/hosted/invoice/test/in_…`; who has the address may open it."""
    page = f"{HOME.url}/hosted/{kind}/{quote(environment)}/{id}"
    return page if secret is None else f"{page}?secret={secret}"


def portal(environment: str, id: str, secret: str | None) -> str:
    """A portal session's page; with the secret, the link that opens it."""
    page = f"{HOME.url}/portal/{quote(environment)}/{id}"
    return page if secret is None else f"{page}/open/{secret}"


def portal_login(environment: str, configuration: str) -> str:
    """The page on which customers ask for a link to their portal."""
    return f"{HOME.url}/portal/{quote(environment)}/login/{configuration}"
