"""The API's description and the page that shows it: files, and nothing that runs in a function."""

import gzip
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent
MEDIA_TYPES: Mapping[str, str] = {
    "openapi.json": "application/json",
    "docs.html": "text/html; charset=utf-8",
    "docs/page.css": "text/css; charset=utf-8",
    "docs/page.js": "text/javascript; charset=utf-8",
    "docs/swagger-ui.css": "text/css; charset=utf-8",
    "docs/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
}
"""The files that are served, by name."""


def compressed(name: str) -> bytes:
    """Return a file as gzip, which the layer has it in already; the checkout has it as it is."""
    packed = FOLDER / f"{name}.gz"
    if packed.exists():
        return packed.read_bytes()
    return gzip.compress((FOLDER / name).read_bytes(), mtime=0)
