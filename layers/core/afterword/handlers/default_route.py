"""The default route: paths that the API does not have, and methods that a path does not take.

The paths of the API are in routes.json beside this file, which `make openapi` writes. Nothing here
reads a key, a setting or AWS, and nothing is counted: the throttling of the API holds.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from afterword.errors import AfterwordError, NotFoundError, WrongMethodError
from afterword.handlers import Event, LambdaContext, LambdaHandler
from afterword.handlers.http import Response, build_result
from afterword.runtime import cold_start

TABLE = Path(__file__).with_name("routes.json")


class Dialect(Protocol):
    """A dialect that owns paths; each package of afterword.dialects is one."""

    PATHS: Sequence[str]
    """The beginnings of its paths, with parameters in braces."""

    def render_error(self, error: AfterwordError, /) -> Response:
        """Return the dialect's response for an error."""
        ...


def default_endpoint(rest: Dialect, *others: Dialect) -> LambdaHandler:
    """Return the Lambda handler of requests that no route takes.

    A path of the API is 405 with the methods that it takes in `Allow`; any other path is 404. The
    error has the shape of the dialect with the longest beginning of the path, of `rest` without
    one. OPTIONS of a path of the API is 204: API Gateway may leave preflights (CORS) to this route,
    and adds their headers itself.
    """
    owners = {path: dialect for dialect in others for path in dialect.PATHS}

    def handler(event: Event, _context: LambdaContext) -> dict[str, Any]:
        path, method = event["rawPath"], event["requestContext"]["http"]["method"]
        begun = [each for each in owners if _begins(each, path)]
        dialect = owners[max(begun, key=_count_segments)] if begun else rest
        return build_result(_refuse(dialect, path, method))

    cold_start.end()
    return handler


def _refuse(dialect: Dialect, path: str, method: str) -> Response:
    methods = _methods(path)
    allow = {"allow": ", ".join(methods)} if methods else {}
    if methods and method == "OPTIONS":
        return Response(status=HTTPStatus.NO_CONTENT, body="", headers=allow)
    refused = dialect.render_error(
        WrongMethodError(f"The method must be {' or '.join(methods)}.")
        if methods
        else NotFoundError("There is no such path: /docs shows all of them.")
    )
    body = "" if method == "HEAD" else refused.body  # RFC 9110, section 9.3.2
    return Response(status=refused.status, body=body, headers={**refused.headers, **allow})


def _methods(path: str) -> list[str]:
    """Return the methods that a path takes, sorted; none for a path that the API does not have."""
    length = _count_segments(path)
    return sorted(
        {
            method
            for known, methods in _routes().items()
            if _count_segments(known) == length and _begins(known, path)
            for method in methods
        }
    )


def _begins(beginning: str, path: str) -> bool:
    """Whether a path begins so; a parameter in braces stands for any segment but an empty one."""
    expected, segments = beginning.split("/"), path.split("/")
    return len(expected) <= len(segments) and all(
        segment != "" if each.startswith("{") else segment == each
        for each, segment in zip(expected, segments, strict=False)
    )


def _count_segments(path: str) -> int:
    return path.count("/")


@cache
def _routes() -> Mapping[str, Sequence[str]]:
    """Return the methods of each path of the API."""
    routes: Mapping[str, Sequence[str]] = json.loads(TABLE.read_text("utf-8"))
    return routes
