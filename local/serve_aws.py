"""ministack, and before it the deployed HTTP API at plain paths. Runs in .venv/stack.

Usage: python -m local.serve_aws AWS_FD API_FD API_PORT API_ID: two bound sockets, the port of the
second, and the id of the API. The first serves ministack's AWS endpoint, the second the API.
"""

import asyncio
import os
import sys

import hypercorn.asyncio  # type: ignore[import-not-found] # the stack's own environment
import hypercorn.config  # type: ignore[import-not-found]
from ministack.app import app as ministack  # type: ignore[import-not-found]

from local.front import Front


def main() -> None:
    """Serve both sockets until the process is stopped."""
    aws_fd, api_fd, api_port, api_id = sys.argv[1:5]
    config = hypercorn.config.Config()
    config.bind = [f"fd://{aws_fd}", f"fd://{api_fd}"]
    config.keep_alive_timeout = 75
    config.include_server_header = False
    os.umask(0o077)
    asyncio.run(hypercorn.asyncio.serve(Front(ministack, int(api_port), api_id), config))


if __name__ == "__main__":
    main()
