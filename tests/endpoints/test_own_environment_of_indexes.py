"""The rights of each function for the indexes in the contents' bucket."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from afterword import generations
from afterword.generations import Submission, SubmissionOptions
from afterword.knowledge import Draft, index_files
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, Event, Tenant
from tests.endpoints.test_own_environment import is_of_indexes, run_alone
from tests.harness import roles
from tests.harness.api import Api, invoke
from tests.harness.fake_model import FakeModel, saying
from tests.harness.stand_in_aws import read_object_keys

__all__ = ["run_alone"]
CHANGES = ("update_content", "remove_content", "delete_content")
"""The functions that change or remove a content that is there."""


@pytest.fixture
def content_id(monkeypatch: pytest.MonkeyPatch, tenant: Tenant) -> str:
    """Return the id of a content whose index is worth to be stored."""
    monkeypatch.setattr(index_files, "MIN_STORED", 1)
    draft = Draft(name="Refunds", text="A refund takes two days.", folder="Terms")
    return services().contents.create(tenant.id, draft).id


def index_keys() -> list[str]:
    """Return the keys of the stored indexes."""
    return [key for key in read_object_keys("ContentsBucket") if key.startswith("_indexes/")]


def put_question(flow_version: int) -> str:
    """Store a queued generation that asks for the content; return its id."""
    generation_id = generations.new_id()
    submission = Submission(
        dialect="native",
        flow=FLOW,
        inputs={"text": "How long does a refund take?"},
        template=None,
        external={},
    )
    options = SubmissionOptions(flow_version=flow_version, retention=timedelta(days=30))
    services().store.put("demo", generation_id, submission, options)
    return generation_id


def uses(function: str) -> None:
    """Check that a function has used its rights for indexes."""
    deployed = roles.deployed()
    own = {each for each in deployed.in_force(function) if is_of_indexes(each)}
    assert own
    assert own <= deployed.used


def test_every_function_with_these_rights_is_shown() -> None:
    """No function has a right for indexes without a test."""
    having = {each.function for each in roles.deployed().grants if is_of_indexes(each)}
    assert having == {"generate", *CHANGES}


def test_the_worker_stores_indexes_and_deletes_older_ones(
    content_id: str,
    tenant: Tenant,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    run_alone: Callable[[str], set[str]],
) -> None:
    """The worker may put an index into the bucket, and delete that of another version."""
    step = {"name": "answer", "prompt": "{{context}}", "context": {}}
    document = json.dumps({"id": FLOW, "name": "Questions", "steps": [step]})
    version = services().registry.put_flow(tenant.id, FLOW, document).version
    use_model(saying("In two days [1]."))
    run_alone("generate")
    keys = []
    for text in ("We are open on Mondays.", "Our shop is in Bath."):
        generation_id = put_question(version)
        assert invoke("generate", message_event(generation_id)) == {"batchItemFailures": []}
        ended = services().store.get(tenant.id, generation_id)
        assert ended.completion is not None
        assert [source.content for source in ended.completion.sources] == [content_id]
        keys += index_keys()
        services().contents.create(tenant.id, Draft(name="More", text=text, folder="Terms"))
    assert len({*keys}) == len(keys) == 2
    uses("generate")


@pytest.mark.parametrize("function", CHANGES)
def test_a_change_deletes_the_indexes_of_before(content_id: str, function: str) -> None:
    """Functions that change contents may list the indexes, and delete them."""
    selection = services().contents.select("demo", [], [])
    assert services().ranking.rank("refund", selection, 1)
    assert len(index_keys()) == 1
    api = Api(services().registry.create_key("demo", [Scope.ADMIN])[1], {"contentId": content_id})
    body = {"text": "Gone."} if function == "update_content" else None
    assert api.call(function, body)["statusCode"] in {200, 204}
    assert index_keys() == []
    uses(function)
