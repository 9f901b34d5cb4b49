"""A web process to be killed: `python -m tests.ingest.web DSN PORT [PATIENCE]`, the patience in seconds.

It kills itself when the answer to a request with the header `x-last-answer` is about to be sent: by then the work
is committed, and the caller learns nothing of it.
"""

import os
import signal
import sys

from starlette.types import Message, Receive, Scope, Send

from meterline.api.hot import Application
from meterline.app import create_app, web_server
from meterline.usecase.ingest_events import Settings


class Mortal:
    """The application, which dies of a request that is marked, unless that is a hot one."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self.doorway = app.doorway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        marked = any(name == b"x-last-answer" for name, _ in scope.get("headers", ()))

        async def die(message: Message) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        await self._app(scope, receive, die if marked else send)


if __name__ == "__main__":
    dsn, port, *patience = sys.argv[1:]
    intake = Settings(patience_s=float(patience[0])) if patience else Settings()
    web_server(Mortal(create_app(dsn, intake=intake)), port=int(port)).run()
