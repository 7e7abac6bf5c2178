"""The index of Amazon S3 Vectors, against botocore's own model of the service (Stubber)."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from afterword.errors import UnavailableError
from afterword.generations import FailedError, Reason
from afterword.knowledge import Content, Label, vector_index
from afterword.knowledge.meaning import Asked, Hit
from afterword.knowledge.ranking import Selection
from afterword.knowledge.vector_index import VectorIndex
from afterword.knowledge.vector_store import Place, Vectors
from afterword.knowledge.vectors import encode_row
from afterword.runtime.clients import clients

if TYPE_CHECKING:
    from mypy_boto3_s3vectors import S3VectorsClient

ARN = "arn:aws:s3vectors:eu-west-1:123456789012:bucket/vectors/index/passages"
VECTOR = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
EVERYTHING = Selection("demo", version="1", embedded="1")
SELECTED = Selection(
    "demo", version="1", embedded="1", folders=frozenset({"a", "b"}), tags=frozenset({"t"})
)
NOW = datetime(2026, 11, 10, 9, tzinfo=UTC)
CONTENT = Content(
    tenant="demo",
    id="c1",
    name="Page",
    folder=Label("a", "Help"),
    tags=(Label("t", "shop"),),
    external_id=None,
    source=None,
    fingerprint=None,
    characters=3,
    passages=2,
    revision=1,
    created_at=NOW,
    updated_at=NOW,
)


@pytest.fixture
def client(aws: None) -> "S3VectorsClient":  # noqa: ARG001 - asked for its effect
    vars(clients()).pop("s3vectors", None)
    return clients().s3vectors


@pytest.fixture
def stubber(client: "S3VectorsClient") -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def index(client: "S3VectorsClient") -> VectorIndex:
    return VectorIndex(lambda: client, ARN, "m")


def metadata(tenant: str = "demo", content: str = "c1", model: str = "m") -> dict[str, Any]:
    """Return the metadata of a result."""
    return {
        "tenant": tenant,
        "model": model,
        "content": content,
        "folder": "a",
        "digest": b"12345678".hex(),
    }


def query(*conditions: dict[str, Any], limit: int = 5) -> dict[str, Any]:
    """Return the request of a query."""
    filtered = {"$and": [{"tenant": {"$eq": "demo"}}, {"model": {"$eq": "m"}}, *conditions]}
    return {
        "indexArn": ARN,
        "queryVector": {"float32": VECTOR},
        "topK": limit,
        "filter": filtered,
        "returnMetadata": True,
        "returnDistance": True,
    }


def answer(*vectors: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a query."""
    return {"vectors": [{"key": "k", **each} for each in vectors], "distanceMetric": "cosine"}


@pytest.mark.parametrize(
    ("selection", "conditions"),
    [
        (EVERYTHING, []),
        (SELECTED, [{"folder": {"$in": ["a", "b"]}}, {"tags": {"$in": ["t"]}}]),
    ],
)
def test_a_query_is_of_the_selection(
    index: VectorIndex, stubber: Stubber, selection: Selection, conditions: list[dict[str, Any]]
) -> None:
    """A query is filtered by tenant and model, and by folders and tags where some are chosen."""
    found = answer({"distance": 0.25, "metadata": metadata()})
    stubber.add_response("query_vectors", found, query(*conditions))
    hits = index.find_nearest(Asked(selection, VECTOR), 5)
    assert hits == [Hit(Place("a", "c1"), b"12345678", 0.75)]


def test_a_result_of_another_tenant_or_model_is_left_out(
    index: VectorIndex, stubber: Stubber
) -> None:
    """An index that ignored its filter, or that has other vectors, shows nothing of theirs."""
    found = answer(
        {"distance": 0.1, "metadata": metadata("other")},
        {"distance": 0.1, "metadata": metadata(model="older")},
        {"distance": 0.1},
        {"distance": 0.1, "metadata": {"tenant": "demo"}},
        {"distance": 0.2, "metadata": metadata(content="c2")},
    )
    stubber.add_response("query_vectors", found)
    hits = index.find_nearest(Asked(EVERYTHING, VECTOR), 5)
    assert [hit.place.content for hit in hits] == ["c2"]


def test_a_query_asks_for_no_more_than_the_service_gives(
    index: VectorIndex, stubber: Stubber
) -> None:
    """A hundred results are the most of a query."""
    stubber.add_response("query_vectors", answer(), query(limit=100))
    assert index.find_nearest(Asked(EVERYTHING, VECTOR), 1_000) == []


def test_passages_are_measured_however_far_they_are(index: VectorIndex, stubber: Stubber) -> None:
    """A passage by words has its cosine although a thousand others are nearer to the question."""
    digests = sorted([b"12345678".hex(), b"absent!!".hex()])
    found = answer({"distance": 0.25, "metadata": metadata()})
    request = query({"digest": {"$in": digests}}, limit=100)
    stubber.add_response("query_vectors", found, request)
    measured = index.measure(Asked(EVERYTHING, VECTOR), [("c1", b"12345678"), ("c2", b"absent!!")])
    assert measured == {b"12345678": 0.75}


def test_many_passages_are_measured_by_several_queries(
    index: VectorIndex, stubber: Stubber
) -> None:
    """A query has a hundred results at most, so that it asks for a hundred passages at most."""
    digests = [b"%08d" % number for number in range(150)]
    for some in (digests[:100], digests[100:]):
        request = query({"digest": {"$in": [each.hex() for each in some]}}, limit=100)
        stubber.add_response("query_vectors", answer(), request)
    assert index.measure(Asked(EVERYTHING, VECTOR), [("c1", each) for each in digests]) == {}


def test_nothing_is_asked_for_no_passages(index: VectorIndex, stubber: Stubber) -> None:
    """Without passages by words there is no query."""
    assert index.measure(Asked(EVERYTHING, VECTOR), []) == {}
    stubber.assert_no_pending_responses()


def test_the_vectors_of_a_content_are_put_with_what_filters_need(
    index: VectorIndex, stubber: Stubber
) -> None:
    """Each vector has model, tenant, folder and tags; vectors after the last one are deleted."""
    rows = encode_row(b"12345678", VECTOR) + encode_row(b"abcdefgh", [-each for each in VECTOR])
    owned = {**metadata(), "tags": ["t"]}
    minus = [-1.0, *VECTOR[1:]]
    put = [
        {"key": "demo/c1/0", "data": {"float32": VECTOR}, "metadata": owned},
        {
            "key": "demo/c1/1",
            "data": {"float32": minus},
            "metadata": {**owned, "digest": b"abcdefgh".hex()},
        },
    ]
    stubber.add_response("put_vectors", {}, {"indexArn": ARN, "vectors": put})
    later = [f"demo/c1/{number}" for number in range(2, 102)]
    stubber.add_response(
        "get_vectors", {"vectors": [{"key": "demo/c1/2"}]}, {"indexArn": ARN, "keys": later}
    )
    stubber.add_response("delete_vectors", {}, {"indexArn": ARN, "keys": ["demo/c1/2"]})
    stubber.add_response("get_vectors", {"vectors": []})
    index.put(CONTENT, Vectors("m", 8, rows))


def test_many_vectors_are_put_in_calls_of_500(index: VectorIndex, stubber: Stubber) -> None:
    """A content of 1,100 passages takes three calls."""
    rows = b"".join(encode_row(b"%08d" % number, VECTOR) for number in range(1_100))
    for _ in range(3):
        stubber.add_response("put_vectors", {})
    stubber.add_response("get_vectors", {"vectors": []})
    index.put(CONTENT, Vectors("m", 8, rows))


def test_no_call_that_puts_is_larger_than_the_service_takes(
    index: VectorIndex,
    client: "S3VectorsClient",
    stubber: Stubber,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Vectors with the most dimensions take more calls: a request has at most 20 MiB, here 2."""
    assert vector_index.MAX_PUT_BYTES == 20 * 1024 * 1024
    monkeypatch.setattr(vector_index, "MAX_PUT_BYTES", 2 * 1024 * 1024)
    sizes: list[int] = []

    def measure(params: dict[str, Any], **_: object) -> None:
        sizes.append(len(json.dumps(params)))

    client.meta.events.register("before-parameter-build.s3vectors.PutVectors", measure)
    longest = [(-1) ** number * 0.0079 for number in range(4_095)]
    rows = b"".join(encode_row(b"%08d" % number, [1.0, *longest]) for number in range(50))
    for _ in range(3):
        stubber.add_response("put_vectors", {})
    stubber.add_response("get_vectors", {"vectors": []})
    index.put(CONTENT, Vectors("m", 4_096, rows))
    assert len(sizes) == 3
    assert 1024 * 1024 < max(sizes) < 2 * 1024 * 1024


def test_the_vectors_of_a_removed_content_are_deleted(index: VectorIndex, stubber: Stubber) -> None:
    """A removal deletes page by page until there is none."""
    keys = [f"demo/c1/{number}" for number in range(100)]
    found = {"vectors": [{"key": key} for key in keys]}
    stubber.add_response("get_vectors", found, {"indexArn": ARN, "keys": keys})
    stubber.add_response("delete_vectors", {}, {"indexArn": ARN, "keys": keys})
    stubber.add_response("get_vectors", {"vectors": []})
    index.remove("demo", "c1")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("TooManyRequestsException", UnavailableError),
        ("ServiceUnavailableException", UnavailableError),
        ("InternalServerException", UnavailableError),
        ("NotFoundException", FailedError),
        ("AccessDeniedException", FailedError),
        ("ValidationException", FailedError),
    ],
)
def test_an_index_that_does_not_answer(
    index: VectorIndex, stubber: Stubber, code: str, expected: type[Exception]
) -> None:
    """A busy index is asked again later; one that is absent or closed fails with what to do."""
    for _ in range(3):  # botocore repeats what is worth it
        stubber.add_client_error("query_vectors", code)
    with pytest.raises(expected) as raised:
        index.find_nearest(Asked(EVERYTHING, VECTOR), 5)
    if isinstance(raised.value, FailedError):
        assert raised.value.reason is Reason.KNOWLEDGE_UNAVAILABLE
        assert "VectorIndexArn" in str(raised.value)
    stubber._queue.clear()  # type: ignore[attr-defined] # noqa: SLF001 - what was not repeated


def test_an_index_out_of_reach_is_unavailable(
    index: VectorIndex, client: "S3VectorsClient"
) -> None:
    """A failed connection may pass."""

    def fail(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://aws.invalid")

    client.meta.events.register("before-call.s3vectors", fail)
    asked = Asked(EVERYTHING, VECTOR)
    for call in (
        lambda: index.find_nearest(asked, 5),
        lambda: index.put(CONTENT, Vectors("m", 8, encode_row(b"12345678", VECTOR))),
        lambda: index.remove("demo", "c1"),
    ):
        with pytest.raises(UnavailableError):
            call()
