"""Hosts that a submission's `webhook_url` may name."""

import re
from collections.abc import Collection

from afterword.errors import UnprocessableError
from afterword.runtime.addresses import HTTPS_PORT, FetchError, parse_url

MAX_HOSTS = 50
"""Hosts of a tenant."""

_HOST = re.compile(r"(?=.{1,253}(:|$))[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")


def is_host(text: str) -> bool:
    """Whether the text is a host in lower-case ASCII, with or without a port."""
    return _HOST.fullmatch(text) is not None


def check_hosts(hosts: Collection[str]) -> None:
    """Raise UnprocessableError unless a tenant may allow these hosts."""
    for host in hosts:
        if not is_host(host):
            raise UnprocessableError(
                "host", f"must be a host such as hooks.example.com, not {host!r}."
            )
    if len(hosts) > MAX_HOSTS:
        raise UnprocessableError("host", f"must be {MAX_HOSTS} hosts at most, not {len(hosts)}.")


def check_webhook_url(url: str, allowed: Collection[str]) -> None:
    """Raise UnprocessableError unless a submission's `webhook_url` is at one of the hosts."""
    try:
        is_allowed = is_allowed_url(url, allowed)
    except FetchError as error:
        raise UnprocessableError("webhook_url", str(error)) from error
    if not is_allowed:
        raise UnprocessableError("webhook_url", "must be at a host that the tenant allows.")


def is_allowed_url(url: str, allowed: Collection[str]) -> bool:
    """Whether a `webhook_url` is at one of the hosts; raise FetchError for a malformed one.

    A host on another port than HTTPS's is allowed with that port.
    """
    scheme, host, port, _ = parse_url(url)
    if scheme == "https" and port == HTTPS_PORT:
        return host in allowed
    return f"{host}:{port}" in allowed
