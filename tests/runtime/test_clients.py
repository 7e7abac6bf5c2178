"""The roots that clients trust: Amazon's own alone, where only its own endpoints are called."""

from pathlib import Path

import botocore.session
import pytest

from afterword.runtime import clients
from afterword.runtime.settings import Settings

ON = {"AFTERWORD_AMAZON_ROOTS": "true"}


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of Amazon's roots, which only a built layer has."""
    path = tmp_path / "amazon_roots.pem"
    path.touch()
    monkeypatch.setattr(clients, "AMAZON_ROOTS", path)
    return path


def session_in(region: str | None) -> botocore.session.Session:
    """Return a session in a region."""
    session = botocore.session.Session()
    session.set_config_variable("region", region)
    return session


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1", "ap-southeast-7"])
def test_at_awss_own_endpoints_amazons_roots_are_enough(roots: Path, region: str) -> None:
    """The regions of AWS's largest partition have certificates of Amazon's roots."""
    assert clients.find_roots(session_in(region), Settings(ON)) == str(roots)


@pytest.mark.usefixtures("roots")
@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1", "eusc-de-east-1"])
def test_other_partitions_may_have_other_roots(region: str) -> None:
    """China, GovCloud and the sovereign clouds keep all roots that botocore knows."""
    assert clients.find_roots(session_in(region), Settings(ON)) is None


@pytest.mark.usefixtures("roots")
@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"AFTERWORD_AMAZON_ROOTS": "false"},
        {**ON, "AWS_CA_BUNDLE": "/my/roots.pem"},
        {**ON, "AWS_ENDPOINT_URL": "https://localhost:4566"},
        {**ON, "AWS_ENDPOINT_URL_SQS": "https://queue.internal"},
    ],
)
def test_the_users_own_endpoints_and_roots_win(environ: dict[str, str]) -> None:
    """A bundle of the user's, or an endpoint that is not AWS's, is left to botocore."""
    assert clients.find_roots(session_in("eu-west-1"), Settings(environ)) is None


@pytest.mark.usefixtures("roots")
def test_an_endpoint_that_is_set_to_nothing_is_none() -> None:
    """The template sets AWS_ENDPOINT_URL to nothing outside of local stacks."""
    environ = {**ON, "AWS_ENDPOINT_URL": ""}
    assert clients.find_roots(session_in("eu-west-1"), Settings(environ)) is not None


def test_without_the_layers_file_botocore_chooses() -> None:
    """The command line has no layer, and no file of Amazon's roots."""
    assert clients.find_roots(session_in("eu-west-1"), Settings(ON)) is None
