"""Embedding models: a real one on llama.cpp, Bedrock's by botocore's model, scripted faults."""

import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from afterword.generations import Reason
from afterword.knowledge.vectors import encode_row
from afterword.models import (
    ModelError,
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
    bedrock_embeddings,
)
from afterword.models.bedrock_embeddings import CohereEmbeddings, TitanEmbeddings
from afterword.models.embeddings import EmbeddedTexts, Purpose, Vector, embed_texts
from afterword.models.openai_embeddings import OpenAIEmbeddings
from afterword.models.provider import UnknownProviderError, build_embedding_model
from afterword.runtime.clients import clients
from afterword.runtime.settings import Settings
from tests.harness.fake_embeddings import POISON, FakeEmbeddings

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

pytestmark = pytest.mark.sockets

TITAN = "amazon.titan-embed-text-v2:0"
COHERE, COHERE_4 = "cohere.embed-multilingual-v3", "eu.cohere.embed-v4:0"
VECTOR = [0.5, -0.5, 0.5, -0.5, 0.0, 0.25, 0.0, 0.0]


def cosine(one: Vector, other: Vector) -> float:
    """Return the cosine of two vectors."""
    return math.sumprod(one, other) / math.sqrt(math.sumprod(one, one) * math.sumprod(other, other))


# --- a real model -------------------------------------------------------------------------------


def real(url: str) -> OpenAIEmbeddings:
    """Return the model of the real server."""
    return OpenAIEmbeddings("all-minilm-l6-v2", url, lambda: None, 10, 0.3)


def test_a_real_model_embeds_as_its_authors_say(embeddings_server: str) -> None:
    """The converted model gives the similarities that are published for it, to three digits."""
    person, *others = real(embeddings_server).embed(
        [
            "That is a happy person",
            "That is a happy dog",
            "That is a very happy person",
            "Today is a sunny day",
        ],
        Purpose.PASSAGE,
        30,
    )
    assert len(person) == 384
    assert [round(cosine(person, each), 3) for each in others] == [0.695, 0.943, 0.257]


def test_a_real_model_embeds_the_beginning_of_a_text_too_long_for_it(
    embeddings_server: str,
) -> None:
    """A text with more tokens than a model takes is halved until it fits; the others are whole."""
    texts = ["To be closed. " * 300, "We are closed."]
    embedded = embed_texts(real(embeddings_server), texts, Purpose.PASSAGE, lambda: 30.0)
    assert (embedded.refusal, embedded.failure, embedded.finished) == (None, None, True)
    assert all(vector is not None and len(vector) == 384 for vector in embedded.vectors)


# --- an endpoint that is scripted ---------------------------------------------------------------


@dataclass
class Endpoint:
    """An endpoint that gives one answer, and keeps the requests."""

    url: str = ""
    status: int = 200
    answer: object = None
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, Any], str | None]] = field(default_factory=list)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """Serve an endpoint on loopback."""
    script = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            script.requests.append((self.path, body, self.headers["authorization"]))
            answer = script.answer
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(script.status)
            for name, value in script.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_args: object) -> None:
            """Keep the tests' output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        script.url = f"http://127.0.0.1:{server.server_port}/v1/"
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield script
        server.shutdown()
        thread.join()


def ask(endpoint: Endpoint, *texts: str, key: str | None = None) -> Sequence[Vector | ModelError]:
    """Embed texts at an endpoint."""
    model = OpenAIEmbeddings("embed-1", endpoint.url, lambda: key, 10, 0.3)
    return model.embed(texts, Purpose.PASSAGE, 10)


def test_a_request_is_as_the_api_has_it(endpoint: Endpoint) -> None:
    """A request names the model and the texts, with the key if there is one; order is by index."""
    other = [-each for each in VECTOR]
    listed = [{"index": 1, "embedding": other}, {"index": 0, "embedding": VECTOR}]
    endpoint.answer = {"object": "list", "data": listed, "usage": {"prompt_tokens": 3}}
    assert ask(endpoint, "one", "two", key="sk-1") == [VECTOR, other]
    request = {"model": "embed-1", "input": ["one", "two"], "encoding_format": "float"}
    assert endpoint.requests == [("/v1/embeddings", request, "Bearer sk-1")]


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        None,
        [],
        {"data": None},
        {"data": []},
        {"data": [{"index": 0}]},
        {"data": [{"index": 0, "embedding": []}]},
        {"data": [{"index": 0, "embedding": [0.0] * 8}]},
        {"data": [{"index": 0, "embedding": ["1"] * 8}]},
        {"data": [{"index": 0, "embedding": [1e200] * 8}]},
        {"data": [{"index": 0, "embedding": [10**400] * 8}]},
        {"data": [{"index": 0, "embedding": [1e-320] * 8}]},
        {"data": [{"index": 0, "embedding": "AAAA"}]},
        b'{"data": [{"index": 0, "embedding": [1, 1, 1, 1, 1, 1, 1, NaN]}]}',
        b'{"data": [{"index": 0, "embedding": [1, 1, 1, 1, 1, 1, 1, 1e999]}]}',
        {"data": [{"index": 0, "embedding": VECTOR}, {"index": 1, "embedding": VECTOR}]},
    ],
)
def test_an_answer_without_vectors_is_refused(endpoint: Endpoint, answer: object) -> None:
    """An answer that is no list of as many vectors is an invalid response, and no other error."""
    endpoint.answer = answer
    with pytest.raises(ModelRefusedError) as refused:
        ask(endpoint, "SECRET")
    assert refused.value.reason is Reason.INVALID_RESPONSE
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("vector", [[1.0] * 7, [3], [1e-29, 0, -1e-29], [1e30, -1.0]])
def test_any_finite_vector_is_taken(endpoint: Endpoint, vector: list[float]) -> None:
    """A vector has any number of dimensions, and numbers that have room in 32 bits."""
    endpoint.answer = {"data": [{"index": 0, "embedding": vector}]}
    assert ask(endpoint, "one") == [vector]
    assert len(encode_row(b"12345678", vector)) == 8 + len(vector)


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 503])
def test_a_busy_endpoint_is_unavailable(endpoint: Endpoint, status: int) -> None:
    """A retry may help; the seconds that an endpoint asks for are passed on."""
    endpoint.status, endpoint.answer = status, {"error": {"message": "SECRET"}}
    endpoint.headers = {"retry-after": "7"}
    with pytest.raises(ModelUnavailableError) as unavailable:
        ask(endpoint, "SECRET")
    assert unavailable.value.retry_after == 7
    assert str(unavailable.value) == f"The embedding endpoint answered {status}."


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, Reason.INVALID_REQUEST),
        (401, Reason.MODEL_ACCESS_DENIED),
        (403, Reason.MODEL_ACCESS_DENIED),
        (404, Reason.MODEL_NOT_FOUND),
        (413, Reason.TOO_LONG),
        (422, Reason.INVALID_REQUEST),
    ],
)
def test_a_refusal_has_its_reason(endpoint: Endpoint, status: int, reason: Reason) -> None:
    """A refusal tells whether its cause is the text, the model's name or the key."""
    endpoint.status, endpoint.answer = status, {"error": {"message": "SECRET"}}
    with pytest.raises(ModelRefusedError) as refused:
        ask(endpoint, "SECRET")
    assert refused.value.reason is reason
    assert "SECRET" not in str(refused.value)


def test_an_endpoint_out_of_reach_is_unavailable(endpoint: Endpoint) -> None:
    """A connection that is refused may be taken later."""
    endpoint.url = "http://127.0.0.1:9/v1"
    with pytest.raises(ModelUnavailableError, match="cannot be reached"):
        ask(endpoint, "one")


# --- Bedrock ------------------------------------------------------------------------------------


@pytest.fixture
def client(aws: None) -> "BedrockRuntimeClient":  # noqa: ARG001 - asked for its effect
    return clients().bedrock_runtime(60)


@pytest.fixture
def stubber(client: "BedrockRuntimeClient") -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def invoked(model: str, request: dict[str, object], answer: object) -> tuple[Any, Any, Any]:
    """Return a call of InvokeModel with its answer, for a stubber."""
    body = json.dumps(answer).encode()
    return (
        "invoke_model",
        {"body": StreamingBody(io.BytesIO(body), len(body)), "contentType": "application/json"},
        {
            "modelId": model,
            "body": json.dumps(request),
            "contentType": "application/json",
            "accept": "application/json",
        },
    )


def test_titan_takes_a_text_a_call(client: "BedrockRuntimeClient", stubber: Stubber) -> None:
    """Titan Text Embeddings V2 gives 512 dimensions, and its name says so."""
    request: dict[str, object] = {"inputText": "one", "dimensions": 512, "normalize": True}
    answer = {"embedding": VECTOR, "inputTextTokenCount": 1}
    stubber.add_response(*invoked(TITAN, request, answer))
    model = TitanEmbeddings(TITAN, lambda _: client, 0.3)
    assert model.embed(["one"], Purpose.QUESTION, 15) == [VECTOR]
    assert model.name == f"{TITAN}/512"


def test_titan_embeds_texts_in_parallel_and_in_order(client: "BedrockRuntimeClient") -> None:
    """Each text has its own vector, whichever call is answered first."""

    def answer(params: dict[str, Any], **_: object) -> object:
        text = json.loads(params["body"])["inputText"]
        body = json.dumps({"embedding": [float(text), *VECTOR[1:]]}).encode()
        return type("Answer", (), {"status_code": 200})(), {"body": io.BytesIO(body)}

    client.meta.events.register("before-call.bedrock-runtime.InvokeModel", answer)  # type: ignore[arg-type] # it may answer
    model = TitanEmbeddings(TITAN, lambda _: client, 0.3)
    texts = [str(number) for number in range(model.batch)]
    vectors = model.embed(texts, Purpose.PASSAGE, 60)
    assert vectors == [[number, *VECTOR[1:]] for number in range(model.batch)]


def test_a_throttled_call_of_titan_keeps_the_vectors_of_the_others(
    client: "BedrockRuntimeClient",
) -> None:
    """Vectors that were paid for are returned; no call begins once the model is throttled."""
    begun: list[str] = []

    def answer(params: dict[str, Any], **_: object) -> object:
        text = json.loads(params["body"])["inputText"]
        begun.append(text)
        if text == "1":
            fault = {"Error": {"Code": "ThrottlingException", "Message": "SECRET"}}
            return type("Answer", (), {"status_code": 429, "headers": {}})(), fault
        body = json.dumps({"embedding": VECTOR}).encode()
        return type("Answer", (), {"status_code": 200})(), {"body": io.BytesIO(body)}

    client.meta.events.register("before-call.bedrock-runtime.InvokeModel", answer)  # type: ignore[arg-type] # it may answer
    model = TitanEmbeddings(TITAN, lambda _: client, 0.3)
    texts = [str(number) for number in range(model.batch)]
    embedded = embed_texts(model, texts, Purpose.PASSAGE, lambda: 60.0)
    assert embedded.vectors[:2] == [VECTOR, None]
    assert isinstance(embedded.failure, ModelUnavailableError)
    assert not embedded.finished
    assert len([vector for vector in embedded.vectors if vector]) == len(begun) - 1
    assert len(begun) < model.batch


def test_the_calls_of_titan_end_together(
    client: "BedrockRuntimeClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    """All texts of a batch share the timeout, also those that wait for others."""
    timeouts: list[float] = []
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(bedrock_embeddings, "time", clock)

    def answer(**_: object) -> object:
        now[0] += 10
        body = json.dumps({"embedding": VECTOR}).encode()
        return type("Answer", (), {"status_code": 200})(), {"body": io.BytesIO(body)}

    def connect(timeout: int) -> "BedrockRuntimeClient":
        timeouts.append(timeout)
        return client

    client.meta.events.register("before-call.bedrock-runtime.InvokeModel", answer)  # type: ignore[arg-type] # it may answer
    model = TitanEmbeddings(TITAN, connect, 0.3)
    monkeypatch.setattr(bedrock_embeddings, "_PARALLEL", 1)
    embedded = embed_texts(model, ["text"] * 5, Purpose.PASSAGE, lambda: 30.0)
    assert timeouts == [30, 20, 10]
    assert [vector is None for vector in embedded.vectors] == [False] * 3 + [True] * 2
    assert isinstance(embedded.failure, ModelTimedOutError)


@pytest.mark.parametrize(
    ("purpose", "input_type"),
    [(Purpose.PASSAGE, "search_document"), (Purpose.QUESTION, "search_query")],
)
def test_cohere_is_told_questions_from_passages(
    client: "BedrockRuntimeClient", stubber: Stubber, purpose: Purpose, input_type: str
) -> None:
    """Cohere Embed of version 3 takes many texts a call, and cuts those that are too long."""
    request: dict[str, object] = {
        "texts": ["one", "two"],
        "input_type": input_type,
        "embedding_types": ["float"],
        "truncate": "END",
    }
    answer = {"embeddings": {"float": [VECTOR, VECTOR]}, "response_type": "embeddings_by_type"}
    stubber.add_response(*invoked(COHERE, request, answer))
    model = CohereEmbeddings(COHERE, lambda _: client, 0.3)
    assert model.embed(["one", "two"], purpose, 15) == [VECTOR, VECTOR]
    assert model.name == COHERE


def test_cohere_of_version_4_gives_512_dimensions(
    client: "BedrockRuntimeClient", stubber: Stubber
) -> None:
    """Cohere Embed of version 4 is asked for as many dimensions as its name says."""
    request: dict[str, object] = {
        "texts": ["one"],
        "input_type": "search_query",
        "embedding_types": ["float"],
        "output_dimension": 512,
    }
    stubber.add_response(*invoked(COHERE_4, request, {"embeddings": {"float": [VECTOR]}}))
    model = CohereEmbeddings(COHERE_4, lambda _: client, 0.3)
    assert model.embed(["one"], Purpose.QUESTION, 15) == [VECTOR]
    assert model.name == f"{COHERE_4}/512"


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("ThrottlingException", 429, ModelUnavailableError),
        ("ModelNotReadyException", 429, ModelUnavailableError),
        ("ValidationException", 400, ModelRefusedError),
        ("AccessDeniedException", 403, ModelRefusedError),
    ],
)
def test_errors_of_bedrock_are_those_of_models(
    client: "BedrockRuntimeClient",
    stubber: Stubber,
    code: str,
    status: int,
    expected: type[Exception],
) -> None:
    """Bedrock's refusals are told apart as those of a model, without the text."""
    stubber.add_client_error("invoke_model", code, "the text was: SECRET", status)
    with pytest.raises(expected) as raised:
        TitanEmbeddings(TITAN, lambda _: client, 0.3).embed(["SECRET"], Purpose.PASSAGE, 15)
    assert "SECRET" not in str(raised.value)
    assert ("EmbeddingModel" in str(raised.value)) == (code == "AccessDeniedException")


@pytest.mark.parametrize("answer", [{}, [], {"embedding": []}, {"embeddings": {"float": [[]]}}])
@pytest.mark.parametrize("kind", [TitanEmbeddings, CohereEmbeddings])
def test_another_answer_of_bedrock_is_refused(
    client: "BedrockRuntimeClient",
    kind: type[TitanEmbeddings | CohereEmbeddings],
    answer: object,
) -> None:
    """An answer without vectors is an invalid response."""
    body = json.dumps(answer).encode()
    with Stubber(client) as stubber:
        response = {"body": StreamingBody(io.BytesIO(body), len(body)), "contentType": "x"}
        stubber.add_response("invoke_model", response)
        with pytest.raises(ModelRefusedError) as refused:
            kind(TITAN, lambda _: client, 0.3).embed(["one"], Purpose.PASSAGE, 15)
    assert refused.value.reason is Reason.INVALID_RESPONSE


# --- texts that are refused ---------------------------------------------------------------------


def embed(model: FakeEmbeddings, *texts: str) -> EmbeddedTexts:
    """Embed texts as passages."""
    return embed_texts(model, texts, Purpose.PASSAGE, lambda: 10.0)


def test_a_refused_text_has_no_vector_and_the_others_have() -> None:
    """A refused call is repeated for each text alone; the number of calls is bounded."""
    model = FakeEmbeddings()
    embedded = embed(model, "tea", f"{'tea ' * 300}{POISON}", "open", "money")
    assert [vector is None for vector in embedded.vectors] == [False, False, False, False]
    assert embedded.refusal is None
    embedded = embed(model, "tea", f"{POISON} {'tea ' * 20}", "open", "money")
    assert [vector is None for vector in embedded.vectors] == [False, True, False, False]
    assert embedded.refusal is not None
    assert (embedded.failure, embedded.finished) == (None, True)
    assert len(model.calls) < 20


@pytest.mark.parametrize("reason", [Reason.TOO_LONG, Reason.INVALID_REQUEST])
def test_a_text_too_long_for_a_model_is_halved(reason: Reason) -> None:
    """A refusal of a text's length is one that a shorter text need not have."""
    model = FakeEmbeddings(longest=500, refusal=reason)
    embedded = embed(model, "tea " * 450)
    assert (embedded.refusal, embedded.finished) == (None, True)
    assert [len(text) for text in model.embedded] == [1800, 1800, 900, 450]


def test_a_model_that_fails_at_a_text_keeps_the_vectors_of_the_others() -> None:
    """A model that is throttled while texts are tried alone is asked no more in this call."""
    model = FakeEmbeddings(fails_after=2, error=ModelUnavailableError("Busy.", 7, throttled=True))
    embedded = embed(model, "open", POISON, "money")
    assert [vector is None for vector in embedded.vectors] == [False, True, True]
    assert isinstance(embedded.failure, ModelUnavailableError)
    assert not embedded.finished
    assert len(model.calls) == 3


def test_no_call_begins_after_the_end() -> None:
    """Texts that are left at the end have no vector, and no refusal either."""
    model = FakeEmbeddings()
    left = iter([10.0, 10.0, 10.0, 0.0, 0.0])
    texts = (POISON, "open", "money")
    embedded = embed_texts(model, texts, Purpose.PASSAGE, lambda: next(left))
    assert [vector is None for vector in embedded.vectors] == [True, False, True]
    assert (embedded.failure, embedded.finished) == (None, False)
    assert len(model.calls) == 3


def test_a_refusal_that_no_text_causes_is_raised() -> None:
    """A wrong key or an unknown model refuses each text, so no text is tried alone."""
    model = FakeEmbeddings(error=ModelRefusedError(Reason.MODEL_ACCESS_DENIED, "No."))
    with pytest.raises(ModelRefusedError):
        embed(model, "tea", "open")
    assert len(model.calls) == 1


def test_only_the_beginning_of_a_long_text_is_embedded() -> None:
    """A text's first 2,000 characters are sent: no model takes texts of any length."""
    model = FakeEmbeddings()
    embed(model, "tea " * 10_000)
    assert [len(text) for text in model.embedded] == [2_000]


# --- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "name", "floor"),
    [
        ({"PROVIDER": "bedrock", "MODEL": TITAN}, f"{TITAN}/512", 0.3),
        ({"PROVIDER": "bedrock", "MODEL": COHERE, "FLOOR": "0.45"}, COHERE, 0.45),
        ({"PROVIDER": "openai", "MODEL": "m", "URL": "http://127.0.0.1:9/v1"}, "m", 0.3),
    ],
)
def test_the_settings_choose_the_model(environ: dict[str, str], name: str, floor: float) -> None:
    """Provider, model and floor are the owner's to choose."""
    settings = Settings({f"AFTERWORD_EMBEDDING_{each}": value for each, value in environ.items()})
    model = build_embedding_model(settings, clients())
    assert (model.name, model.floor) == (name, floor)


@pytest.mark.parametrize(
    ("provider", "model"), [("bedrock", "amazon.nova-lite-v1:0"), ("other", "m")]
)
def test_an_unknown_embedding_model_is_refused(provider: str, model: str) -> None:
    """A model whose requests are not known is named at the start, and not called."""
    settings = Settings(
        {"AFTERWORD_EMBEDDING_PROVIDER": provider, "AFTERWORD_EMBEDDING_MODEL": model}
    )
    with pytest.raises(UnknownProviderError, match=model):
        build_embedding_model(settings, clients())
