"""A web process to be killed: `python -m tests.ingest.web DSN PORT`."""

import sys

import uvicorn

from meterline.app import create_app

if __name__ == "__main__":
    uvicorn.run(create_app(sys.argv[1]), port=int(sys.argv[2]), log_config=None, access_log=False)
