"""The API's description and its page: static files alone."""

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
"""The media types of the served files, by name."""


def compressed(name: str) -> bytes:
    """Return a file as gzip, as the layer has it; the checkout's file is compressed here."""
    packed = FOLDER / f"{name}.gz"
    if packed.exists():
        return packed.read_bytes()
    return gzip.compress((FOLDER / name).read_bytes(), mtime=0)
