"""The API key in a body, for dialects whose clients send it there.

A body is searched before authentication, so the search parses nothing. The search may find a key of
another object. So the endpoint checks the body's own keys after its own parse.
"""

import re
from collections.abc import Iterable

from afterword.errors import UnauthenticatedError
from afterword.tenants.keys import PREFIX

API_KEY = "apiKey"
"""The name of a body's member, or of a form's field."""
_KEY = PREFIX.encode() + rb"\w{1,200}"
_MEMBER = re.compile(rb'"apiKey"\s{0,100}:\s{0,100}"(' + _KEY + rb')"')
"""A member of that name: within a JSON string its quotes would be escaped."""
_FIELD = re.compile(rb"apiKey=(?<![^&]apiKey=)(" + _KEY + rb")(?=&|\Z)")
"""A field of a urlencoded form; encoders leave a key as it is."""


def find_body_key(body: bytes) -> str | None:
    """Return the first text in a body that is like an API key and named `apiKey`; None without.

    A body that begins like a JSON object is searched for members of whatever object, another one
    for fields of a urlencoded form.
    """
    found = (_MEMBER if body.lstrip()[:1] == b"{" else _FIELD).search(body)
    return None if found is None else found[1].decode()


def check_body_keys(sent: Iterable[object], key: str | None, *, needed: bool) -> None:
    """Raise UnauthenticatedError unless the body's own keys are the request's key.

    Empty ones count as not sent. With `needed` there must be one, since no header has the key.
    """
    keys = [each for each in sent if each]
    if any(each != key for each in keys) or (needed and not keys):
        raise UnauthenticatedError(f"{API_KEY}: must be the request's only key.")
