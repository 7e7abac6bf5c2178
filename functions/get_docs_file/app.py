"""`GET /docs/{file}`: a script or a style of the documentation page."""

from collections.abc import Mapping

from afterword.handlers import static_files


@static_files.static_endpoint
def handler(path: Mapping[str, str]) -> str:
    """Show the file that the path names."""
    return f"docs/{path['file']}"
