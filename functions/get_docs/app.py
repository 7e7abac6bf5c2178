"""`GET /docs`: a page that shows what the API is."""

from collections.abc import Mapping

from afterword.handlers import static_files


@static_files.static_endpoint
def handler(_path: Mapping[str, str]) -> str:
    """Show the page; its parts have an endpoint of their own."""
    return "docs.html"
