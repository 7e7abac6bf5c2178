"""`GET /openapi.json`: the description of the API, in OpenAPI."""

from collections.abc import Mapping

from afterword import published


@published.endpoint
def handler(_path: Mapping[str, str]) -> str:
    """Show the description of all operations."""
    return "openapi.json"
