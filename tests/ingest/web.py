"""A web process to be killed: `python -m tests.ingest.web DSN PORT [PATIENCE]`, the patience in seconds."""

import sys

import uvicorn

from meterline.app import create_app
from meterline.usecase.ingest_events import Settings

if __name__ == "__main__":
    dsn, port, *patience = sys.argv[1:]
    intake = Settings(patience_s=float(patience[0])) if patience else Settings()
    uvicorn.run(create_app(dsn, intake=intake), port=int(port), log_config=None, access_log=False)
