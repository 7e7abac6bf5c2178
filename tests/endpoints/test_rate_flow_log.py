"""Rating a result through Promptitude's API: the handler with its event, under moto."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from afterword import clock
from afterword.generations import Submission
from afterword.services import services
from tests.conftest import Event, LambdaContext, Tenant
from tests.harness.api import invoke
from tests.harness.fake_model import completion
from tests.harness.promptitude import TEXT, answer, put_flow, read

CONTEXT = LambdaContext()

type Rate = Callable[..., Mapping[str, Any]]
type ReadItem = Callable[[str, str], dict[str, Any]]


@pytest.fixture
def submitted(tenant: Tenant) -> str:
    """Return the id of an invocation that is queued."""
    put_flow(tenant)
    submission = Submission(
        dialect="promptitude", flow="joke", inputs={"name": "A"}, template=None, external={}
    )
    return services().submitter.submit(tenant.id, submission)


@pytest.fixture
def rate(tenant: Tenant, load_event: Callable[[str], Event]) -> Rate:
    """Return a function that rates an invocation, with the tenant's key by default."""

    def post(log_id: str, body: object, key: str = tenant.key) -> Mapping[str, Any]:
        event = load_event("rate_flow_log")
        event["pathParameters"]["logId"] = log_id
        event["headers"]["authorization"] = f"Bearer {key}"
        event["body"] = body if isinstance(body, str) else json.dumps(body)
        return read(invoke("rate_flow_log", event, CONTEXT))

    return post


def rating(value: object) -> dict[str, object]:
    """Return a request's body."""
    return {"rating": {"rating": value}}


def rated(log_id: str, value: int) -> Mapping[str, Any]:
    """Return the whole result of a rating."""
    shown = {"promptsLogs": {"id": log_id, "rating": value}, "logId": log_id, "rating": value}
    return answer(200, "OK", shown)


def test_a_result_is_rated_and_the_rating_taken_away(
    rate: Rate, submitted: str, read_item: ReadItem
) -> None:
    """1 to 3 is a rating, 0 takes it away, and nothing else changes."""
    before = read_item("demo", submitted)
    for value in (3, 1):
        assert rate(submitted, rating(value)) == rated(submitted, value)
        assert read_item("demo", submitted) == {**before, "rating": {"N": str(value)}}
    assert rate(submitted, rating(0)) == rated(submitted, 0)
    assert read_item("demo", submitted) == before


def test_a_rating_and_a_result_do_not_get_in_each_others_way(rate: Rate, submitted: str) -> None:
    """Rated while it runs and after its end, a generation keeps both."""
    claim = services().store.claim("demo", submitted, clock.now() + timedelta(seconds=70))
    assert claim is not None
    rate(submitted, rating(2))
    services().outbox.succeed(claim, completion(TEXT))
    rate(submitted, rating(3))
    generation = services().store.get("demo", submitted)
    assert generation.completion is not None
    assert (generation.completion.text, generation.rating) == (TEXT, 3)


@pytest.mark.parametrize(
    "body",
    [
        {},
        rating(4),
        rating(-1),
        rating("3"),
        rating(1.5),
        {"rating": 3},
        {"rating": {"rating": True}},
    ],
)
def test_what_is_no_rating_is_refused(
    rate: Rate, submitted: str, read_item: ReadItem, body: object
) -> None:
    """Anything but 0 to 3 is a 422 that says so, and changes nothing."""
    before = read_item("demo", submitted)
    result = rate(submitted, body)
    assert (result["statusCode"], result["body"]["error"]) == (422, True)
    assert result["body"]["message"].startswith("rating")
    assert read_item("demo", submitted) == before


def test_what_is_no_json_is_refused(rate: Rate, submitted: str) -> None:
    """A body that cannot be read is a 400."""
    assert rate(submitted, "3")["statusCode"] == 400
