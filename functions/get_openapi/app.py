"""`GET /openapi.json`: the description of the API, in OpenAPI."""

from collections.abc import Mapping

from afterword.handlers import static_files


@static_files.static_endpoint
def handler(_path: Mapping[str, str]) -> str:
    """Show the description of all operations."""
    return "openapi.json"
