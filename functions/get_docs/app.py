"""`GET /docs`: the documentation page of the API."""

from collections.abc import Mapping

from afterword.handlers import static_files


@static_files.static_endpoint
def handler(_path: Mapping[str, str]) -> str:
    """Show the page; its parts have an endpoint of their own."""
    return "docs.html"
