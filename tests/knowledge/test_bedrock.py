"""Ranking by a Bedrock knowledge base, against botocore's own model of Retrieve (Stubber)."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.stub import Stubber
from botocore.validate import ParamValidator

from afterword.errors import UnavailableError
from afterword.generations import FailedError, Reason
from afterword.knowledge import Content, Label, items
from afterword.knowledge.bedrock import MAX_QUESTION, BedrockRanking
from afterword.knowledge.lexical import LexicalRanking
from afterword.knowledge.ranking import Origin, Selection
from afterword.runtime.clients import clients
from afterword.services import services
from tests.conftest import START

if TYPE_CHECKING:
    from mypy_boto3_bedrock_agent_runtime import AgentsforBedrockRuntimeClient

KNOWLEDGE_BASE = "ABCDEF0123"
EVERYTHING = Selection("demo", version="1")
SELECTED = Selection(
    "demo", version="1", folders=frozenset({"f1", "f2"}), tags=frozenset({"t1", "t2"})
)
TENANT = {"equals": {"key": "tenant", "value": "demo"}}
OURS = {"tenant": "demo", "content": "c1", "title": "Returns", "folder": "f1"}


def retrieve_request(**vector_search: object) -> dict[str, object]:
    return {
        "knowledgeBaseId": KNOWLEDGE_BASE,
        "retrievalQuery": {"text": "How do I get a refund?"},
        "retrievalConfiguration": {
            "vectorSearchConfiguration": {"numberOfResults": 5, "filter": TENANT, **vector_search}
        },
    }


def retrieve_response(*results: Mapping[str, object]) -> dict[str, object]:
    return {"retrievalResults": [*results]}


def result(text: str = "Within 30 days.", /, **metadata: object) -> dict[str, object]:
    return {
        "content": {"type": "TEXT", "text": text},
        "location": {"type": "S3", "s3Location": {"uri": "s3://bucket/demo/c1/abc.txt"}},
        "score": 0.4,
        "metadata": {**OURS, "x-amz-bedrock-kb-chunk-id": "1", **metadata},
    }


@pytest.fixture
def client(aws: None) -> "AgentsforBedrockRuntimeClient":  # noqa: ARG001 - a fixture
    return clients().bedrock_agent_runtime


@pytest.fixture
def stubber(client: "AgentsforBedrockRuntimeClient") -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def ranking(client: "AgentsforBedrockRuntimeClient") -> BedrockRanking:
    return BedrockRanking(lambda: client, KNOWLEDGE_BASE)


def titles(ranking: BedrockRanking, selection: Selection = EVERYTHING) -> list[str]:
    return [each.origin.title for each in ranking.rank("How do I get a refund?", selection, 5)]


def test_a_question_is_a_retrieve_call(ranking: BedrockRanking, stubber: Stubber) -> None:
    """The question goes out with the tenant's filter, and the passages come back in order."""
    more: dict[str, object] = {
        "external_id": "terms-4",
        "source": "https://example.com/terms",
        "tags": ["t1"],
    }
    response = retrieve_response(result(**more), result("Ask us.", content="c2", title="Contact"))
    stubber.add_response("retrieve", response, retrieve_request())
    first, second = ranking.rank("  How do I get a refund?\n", EVERYTHING, 5)
    assert first.origin == Origin(
        content="c1",
        title="Returns",
        folder="f1",
        external_id="terms-4",
        source="https://example.com/terms",
    )
    assert (first.text, first.heading) == ("Within 30 days.", "")
    assert second.origin == Origin(content="c2", title="Contact", folder="f1")
    assert first.score > second.score > 0


@pytest.mark.parametrize(
    ("folders", "tags", "expected"),
    [
        ((), (), TENANT),
        (("f1",), (), {"andAll": [TENANT, {"in": {"key": "folder", "value": ["f1"]}}]}),
        (
            ("f2", "f1"),
            ("t1",),
            {
                "andAll": [
                    TENANT,
                    {"in": {"key": "folder", "value": ["f1", "f2"]}},
                    {"listContains": {"key": "tags", "value": "t1"}},
                ]
            },
        ),
        (
            (),
            ("t2", "t1"),
            {
                "andAll": [
                    TENANT,
                    {
                        "orAll": [
                            {"listContains": {"key": "tags", "value": "t1"}},
                            {"listContains": {"key": "tags", "value": "t2"}},
                        ]
                    },
                ]
            },
        ),
    ],
)
def test_a_selection_is_a_filter_that_bedrock_takes(  # noqa: PLR0913, PLR0917 - fixtures
    ranking: BedrockRanking,
    client: "AgentsforBedrockRuntimeClient",
    stubber: Stubber,
    folders: tuple[str, ...],
    tags: tuple[str, ...],
    expected: dict[str, Any],
) -> None:
    """Folders and tags are filters beside the tenant's; no list of filters has one member."""
    request = retrieve_request(filter=expected)
    shape = client.meta.service_model.operation_model("Retrieve").input_shape
    assert shape is not None
    assert ParamValidator().validate(request, shape).generate_report() == ""
    stubber.add_response("retrieve", retrieve_response(), request)
    selection = Selection("demo", version="1", folders=frozenset(folders), tags=frozenset(tags))
    assert titles(ranking, selection) == []


def test_a_long_question_is_cut(ranking: BedrockRanking, stubber: Stubber) -> None:
    """Of a mail no more is asked than every embedding model takes."""
    expected = retrieve_request() | {"retrievalQuery": {"text": "a" * MAX_QUESTION}}
    stubber.add_response("retrieve", retrieve_response(), expected)
    assert ranking.rank("a" * 20_000, EVERYTHING, 5) == []


def test_no_more_is_asked_for_than_bedrock_returns(
    ranking: BedrockRanking, stubber: Stubber
) -> None:
    """The number of passages is capped at what Retrieve takes."""
    stubber.add_response("retrieve", retrieve_response(), retrieve_request(numberOfResults=100))
    assert ranking.rank("How do I get a refund?", EVERYTHING, 500) == []


@pytest.mark.parametrize("question", ["", " \n\t"])
def test_nothing_is_not_asked(ranking: BedrockRanking, stubber: Stubber, question: str) -> None:
    """A question without a character finds nothing, and costs no call."""
    assert stubber is not None
    assert ranking.rank(question, EVERYTHING, 5) == []


@pytest.mark.parametrize(
    "stray",
    [
        result(tenant="other"),
        result(tenant=["demo"]),
        {"content": {"type": "TEXT", "text": "No metadata at all."}},
        {"content": {"type": "TEXT", "text": "Not ours."}, "metadata": {"author": "Anna"}},
        *(result(**dict.fromkeys([name], value)) for name in OURS for value in ("", 3, None)),
        result(folder="f3", tags=["t1"]),
        result(tags=["t3"]),
        result(tags="t1"),
        result(),
    ],
)
def test_nothing_foreign_is_returned(
    ranking: BedrockRanking, stubber: Stubber, stray: Mapping[str, object]
) -> None:
    """A result without our metadata, of another tenant or outside the selection is skipped."""
    good = result(title="Good", tags=["t2", "t9"])
    stubber.add_response("retrieve", retrieve_response(stray, good, stray))
    assert titles(ranking, SELECTED) == ["Good"]


@pytest.mark.parametrize("content", [{"type": "IMAGE", "byteContent": "data:"}, {"text": " \n"}])
def test_what_has_no_text_is_skipped(
    ranking: BedrockRanking, stubber: Stubber, content: Mapping[str, object]
) -> None:
    """Images and empty chunks are no passages."""
    without = result() | {"content": content}
    stubber.add_response("retrieve", retrieve_response(without, result(title="Good")))
    assert titles(ranking) == ["Good"]


def test_the_metadata_are_those_that_contents_have() -> None:
    """The filter and the results read the metadata that are written beside a text."""
    label = Label("f1", "Terms")
    content = Content(
        tenant="demo",
        id="c1",
        name="Returns",
        folder=label,
        tags=(Label("t1", "shop"),),
        external_id="terms-4",
        source="https://example.com/terms",
        fingerprint=None,
        characters=1,
        passages=1,
        revision=1,
        created_at=START,
        updated_at=START,
    )
    written = items.build_metadata(content).decode()
    assert written == (
        '{"metadataAttributes": {"tenant": "demo", "content": "c1", "title": "Returns",'
        ' "folder": "f1", "tags": ["t1"], "external_id": "terms-4",'
        ' "source": "https://example.com/terms"}}'
    )


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 429),
        ("TooManyRequestsException", 429),
        ("InternalServerException", 500),
        ("BadGatewayException", 502),
        ("ServiceUnavailableException", 503),
        ("DependencyFailedException", 424),
        ("ConflictException", 409),
    ],
)
def test_a_busy_knowledge_base_is_unavailable(
    ranking: BedrockRanking, stubber: Stubber, code: str, status: int
) -> None:
    """A passing failure is told as such, without the question, so that the worker tries again."""
    stubber.add_client_error("retrieve", code, "How do I?", http_status_code=status)
    with pytest.raises(UnavailableError) as unavailable:
        ranking.rank("How do I get a refund?", EVERYTHING, 5)
    assert str(unavailable.value) == (
        f'For the Bedrock knowledge base "{KNOWLEDGE_BASE}" Bedrock answered {status} ({code}).'
    )


@pytest.mark.parametrize(
    ("code", "status", "message"),
    [
        (
            "ResourceNotFoundException",
            404,
            'There is no such thing as the Bedrock knowledge base "ABCDEF0123".',
        ),
        (
            "AccessDeniedException",
            403,
            (
                'The worker may not ask the Bedrock knowledge base "ABCDEF0123"'
                " (AccessDeniedException)."
            ),
        ),
        (
            "ValidationException",
            400,
            (
                'For the Bedrock knowledge base "ABCDEF0123" Bedrock answered 400'
                " (ValidationException)."
            ),
        ),
    ],
)
def test_what_its_owner_must_repair_fails_at_once(
    ranking: BedrockRanking, stubber: Stubber, code: str, status: int, message: str
) -> None:
    """A knowledge base that is missing, closed or set up otherwise fails the generation."""
    stubber.add_client_error("retrieve", code, "How do I?", http_status_code=status)
    with pytest.raises(FailedError) as failed:
        ranking.rank("How do I get a refund?", EVERYTHING, 5)
    assert (failed.value.reason, str(failed.value)) == (Reason.KNOWLEDGE_UNAVAILABLE, message)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ReadTimeoutError(endpoint_url="https://bedrock.invalid"), UnavailableError),
        (ConnectTimeoutError(endpoint_url="https://bedrock.invalid"), UnavailableError),
        (EndpointConnectionError(endpoint_url="https://bedrock.invalid"), UnavailableError),
        (NoCredentialsError(), FailedError),
    ],
)
def test_a_knowledge_base_out_of_reach(
    client: "AgentsforBedrockRuntimeClient", error: BotoCoreError, expected: type[Exception]
) -> None:
    """A failed connection may pass; a worker without credentials does not get them by waiting."""

    def fail(**_: object) -> None:
        raise error

    client.meta.events.register("before-call.bedrock-agent-runtime.Retrieve", fail)
    with pytest.raises(expected):
        BedrockRanking(lambda: client, KNOWLEDGE_BASE).rank("Refunds?", EVERYTHING, 5)


@pytest.mark.usefixtures("aws")
def test_the_worker_ranks_where_its_owner_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A knowledge base's id in the settings makes Bedrock rank; without one the worker does."""
    assert isinstance(services().ranking, LexicalRanking)
    monkeypatch.setenv("AFTERWORD_KNOWLEDGE_BASE_ID", KNOWLEDGE_BASE)
    services.cache_clear()
    ranking = services().ranking
    assert isinstance(ranking, BedrockRanking)
    with Stubber(clients().bedrock_agent_runtime) as stubber:
        stubber.add_response("retrieve", retrieve_response(result()), retrieve_request())
        assert titles(ranking) == ["Returns"]
