"""`python -m wsgo.healthcheck URL`: exit code 0 if the URL answers 200 within 4 seconds, 1 if not.

The images have no curl, and a probe that imports the server would cost more than the answer.
"""

from __future__ import annotations

import http.client
import sys
from urllib.parse import urlsplit


def healthy(url: str) -> bool:
    """True for an answer of 200; any other answer, and none, is False."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=4)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if len(sys.argv) == 2 and healthy(sys.argv[1]) else 1)
