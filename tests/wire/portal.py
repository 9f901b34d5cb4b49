"""A visitor of the portal with nothing but a link: plain HTTP, no scripts."""

import re
from collections.abc import Mapping

import httpx

_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]+)"')


class Visitor:
    """Somebody who followed a link into the portal."""

    def __init__(self, base_url: str, link: str) -> None:
        self.browser = httpx.Client(base_url=base_url, follow_redirects=False, timeout=30)
        self.entered = self.browser.get(link)
        self.home = self.entered.headers.get("location", "")

    def see(self, section: str = "overview") -> str:
        """The section as HTML."""
        answer = self.browser.get(f"{self.home}/{section}")
        assert answer.status_code == 200, answer.text
        return answer.text

    def token(self, section: str = "overview") -> str:
        """What the forms of this visitor carry."""
        found = _TOKEN.search(self.see(section))
        assert found is not None
        return found[1]

    def do(self, act: str, fields: Mapping[str, str] | None = None) -> httpx.Response:
        """Send a form: `do("balance/recharge", {…})`."""
        return self.browser.post(f"{self.home}/{act}", data={"form_token": self.token(), **(fields or {})})

    def close(self) -> None:
        """Shut the browser."""
        self.browser.close()
