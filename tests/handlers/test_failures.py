"""The HTTP status of a generation without a result."""

from http import HTTPStatus

import pytest

from afterword.generations import Generation, Reason, Status
from afterword.handlers.failures import choose_status
from tests.conftest import START


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.BLANK_PROMPT, HTTPStatus.UNPROCESSABLE_CONTENT),
        (Reason.TOO_LONG, HTTPStatus.UNPROCESSABLE_CONTENT),
        (Reason.REFUSED_CONTENT, HTTPStatus.UNPROCESSABLE_CONTENT),
        (Reason.MODEL_ACCESS_DENIED, HTTPStatus.BAD_GATEWAY),
        (Reason.INVALID_RESPONSE, HTTPStatus.BAD_GATEWAY),
        (Reason.DEADLINE, HTTPStatus.GATEWAY_TIMEOUT),
    ],
)
def test_a_failure_is_the_caller_s_where_another_request_avoids_it(
    reason: Reason, status: HTTPStatus
) -> None:
    """A caller is told of inputs that cannot be used, and a server of all other failures."""
    generation = Generation(
        tenant="demo",
        id="019a6f3e-7c00-7000-8000-000000000001",
        dialect="unless",
        flow="chat",
        flow_version=1,
        status=Status.FAILED,
        attempt=1,
        created_at=START,
        deadline_at=START,
        finished_at=START,
        external={},
        completion=None,
        reason=reason,
        message="No.",
        retry_of=None,
    )
    assert choose_status(generation) is status
