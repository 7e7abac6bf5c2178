"""`GET /docs`: the documentation page of the API."""

from collections.abc import Mapping

from afterword import published


@published.endpoint
def handler(_path: Mapping[str, str]) -> str:
    """Show the page; its parts have an endpoint of their own."""
    return "docs.html"
