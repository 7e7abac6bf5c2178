"""`GET /docs/{file}`: a script or a style of the documentation page."""

from collections.abc import Mapping

from afterword import published


@published.endpoint
def handler(path: Mapping[str, str]) -> str:
    """Show the file that the path names."""
    return f"docs/{path['file']}"
