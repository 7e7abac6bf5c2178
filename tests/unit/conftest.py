"""Unit tests cannot open sockets; moto answers before botocore would open one."""

import pytest


@pytest.fixture(autouse=True)
def no_sockets(socket_disabled: None) -> None:
    """Make every attempt to open a socket fail the test."""
