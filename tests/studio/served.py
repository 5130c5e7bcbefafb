"""A studio with settings of a test's choice: `python -m tests.studio.served JSON` prints its port and serves."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from danqing.studio.app import server
from danqing.studio.keys import Keys
from danqing.studio.settings import Settings


def main() -> None:
    given = json.loads(sys.argv[1])
    given["folder"] = Path(given["folder"])
    given["hosts"] = tuple(given.get("hosts", ()))
    settings = Settings(**given)
    logging.basicConfig(level=logging.INFO)
    keys = Keys.kept(settings.folder) if settings.guarded else None

    def ready(port: int) -> None:
        print(json.dumps({"port": port, "token": keys and keys.token, "code": keys and keys.code}), flush=True)

    server(settings, keys, on_ready=ready).run()


if __name__ == "__main__":
    main()
