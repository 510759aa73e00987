"""Only the streams, under uvicorn as in the web process: ``python -m tests.streams.serve HOME KEY PORT``."""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn

from greenroom.entrypoints.streams.app import make_app
from greenroom.entrypoints.streams.link_holders import Holders, everybody

if __name__ == "__main__":
    home, key, port = sys.argv[1:]
    app = make_app(Path(home), key, Holders(everybody))
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False, lifespan="off")
