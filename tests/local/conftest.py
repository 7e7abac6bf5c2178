"""One stack that most of these tests share."""

from collections.abc import Iterator

import pytest

from tests.local.driver import Dev, Tenant, running


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """Start the stack that most tests share."""
    with running(tmp_path_factory.mktemp("dev")) as dev:
        yield dev


@pytest.fixture(scope="session")
def tenant(dev: Dev) -> Tenant:
    return dev.tenants()[0]


@pytest.fixture(scope="session")
def other_tenant(dev: Dev) -> Tenant:
    return dev.tenants()[1]
