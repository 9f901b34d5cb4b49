"""A web process to be killed: `python -m tests.ingest.web DSN PORT [PATIENCE]`, the patience in seconds.

It kills itself when the answer to a request with the header `x-last-answer` is about to be sent: by then the work
is committed, and the caller learns nothing of it.
"""

import os
import signal
import sys

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from meterline.app import create_app
from meterline.usecase.ingest_events import Settings


def mortal(app: ASGIApp) -> ASGIApp:
    """The application, which dies of a request that is marked."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        marked = any(name == b"x-last-answer" for name, _ in scope.get("headers", ()))

        async def die(message: Message) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        await app(scope, receive, die if marked else send)

    return answer


if __name__ == "__main__":
    dsn, port, *patience = sys.argv[1:]
    intake = Settings(patience_s=float(patience[0])) if patience else Settings()
    uvicorn.run(mortal(create_app(dsn, intake=intake)), port=int(port), log_config=None, access_log=False)
