"""The headers of every answer of the API."""

SECURITY = {
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
}
NO_STORE = {"cache-control": "no-store", **SECURITY}
"""The headers of an answer that no cache may keep."""
