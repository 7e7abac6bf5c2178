"""GenAI Stack's API as its client sees it: forms, files, lists and titles over HTTP."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from afterword.flows.drafts import Flow, Input, Step
from afterword.flows.inputs import Kind
from afterword.tenants.keys import Scope
from tests.harness import docx_files, pdf_files
from tests.stack.embedded.driver import FINISH_SECONDS, Dev, Json, until

FIELDS = {"id", "title", "inputs", "outputs", "logs", "meta_data", "status"}
ABSENT = "019aab7a-7d4f-7c07-9c0e-0f2a5a1d3c11"
FACT = "The invoice 117 is due on 15 December."
QUESTION = "When is the invoice due?"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
SHORT = Step(name="answer", instructions="Answer in one short sentence.", max_tokens=30)


@pytest.fixture(scope="module")
def connect(dev: Dev) -> Callable[[str], httpx.Client]:
    """Return a function that gives a client of the running stack's API with a key."""
    url = dev.facts()["url"]

    def make(key: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=url, headers=headers, timeout=60)

    return make


@pytest.fixture(scope="module")
def api(dev: Dev, connect: Callable[[str], httpx.Client]) -> Iterator[httpx.Client]:
    """Return a client with the app key that dev.json has for the first tenant."""
    with connect(dev.facts()["tenants"][0]["genai_stack"]["api_key"]) as client:
        yield client


@pytest.fixture
def app(dev: Dev, connect: Callable[[str], httpx.Client]) -> Iterator[Callable[..., httpx.Client]]:
    """Return a function that makes an app with these inputs, for a new tenant, and its client."""
    clients: list[httpx.Client] = []

    def make(*inputs: Input, **fields: object) -> httpx.Client:
        flow = Flow.model_validate(
            {"id": "app", "name": "App", "inputs": inputs, "steps": [SHORT], **fields}
        )
        tenant_id = f"t-{uuid.uuid4().hex[:12]}"
        dev.account().create_tenant(tenant_id, flow)
        registry = dev.account().registry()
        _, key = registry.create_key(tenant_id, [Scope.SUBMIT, Scope.READ], flow="app")
        clients.append(connect(key))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def submitted(answer: httpx.Response) -> Json:
    """Return an accepted generation, which has the documented fields."""
    assert answer.status_code == 200, answer.text
    generation: Json = answer.json()
    assert generation.keys() == FIELDS
    assert generation["status"] in {"pending", "processing", "completed"}  # a quick worker
    return generation


def finished(client: httpx.Client, generation: Json) -> Json:
    """Wait for the end of a generation and return it."""

    def ended() -> Json:
        answer = client.get(f"/api/v1/generations/{generation['id']}")
        assert answer.status_code == 200, answer.text
        now: Json = answer.json()
        return {} if now["status"] in {"pending", "processing"} else now

    return until(ended, FINISH_SECONDS, every=0.3)


def test_the_app_shows_its_form(api: httpx.Client) -> None:
    """The app has the documented fields, and its form is the flow's inputs."""
    answer = api.get("/api/v1/apps")
    assert answer.status_code == 200
    app = answer.json()
    assert app.keys() == {
        *("id", "data", "form_keys_data", "stack_type", "chat_sessions", "text_generations")
    }
    assert list(app["form_keys_data"]) == ["question", "document"]
    assert (app["stack_type"], app["chat_sessions"]) == ("text_generation", [])


def test_a_chat_is_shown_as_sessions(app: Callable[..., httpx.Client]) -> None:
    """A flow of type chat lists sessions, each with the question and then the answer."""
    client = app(type="chat")
    generation = finished(
        client, submitted(client.post("/api/v1/generations", data={"text": "Hi"}))
    )
    shown = client.get("/api/v1/apps").json()
    assert (shown["stack_type"], shown["text_generations"]) == ("chat", [])
    (session,) = shown["chat_sessions"]
    assert session["id"] == generation["id"]
    assert [(turn["is_bot"], turn["message"]) for turn in session["data"]] == [
        (False, "Hi"),
        (True, generation["outputs"]["text"]),
    ]


def test_a_chat_goes_on_in_its_session(app: Callable[..., httpx.Client]) -> None:
    """A created session takes messages, whose answers are events, and shows all its turns."""
    client = app(type="chat")
    created = client.post("/api/v1/chat_sessions", json={"title": "Refunds"})
    assert created.status_code == 200, created.text
    session = created.json()
    assert session == {"id": session["id"], "title": "Refunds", "data": []}
    path = f"/api/v1/chat_sessions/{session['id']}"
    for question in ("Hi", "Bye"):
        sent = {"chatKey": "text", "inputs": {"text": question}}
        answer = client.post(f"{path}/messages", json=sent)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.text.count("event: end\n") == 1
    shown = client.get(path).json()
    asked = [turn["message"] for turn in shown["data"] if not turn["is_bot"]]
    assert asked == ["Hi", "Bye"]
    assert client.get("/api/v1/chat_sessions").json() == [shown]
    assert client.get("/api/v1/apps").json()["chat_sessions"] == [shown]


@pytest.mark.parametrize(
    "request_body",
    [
        pytest.param(
            {"data": {"input_key": "question", "input_value": QUESTION}}, id="pairs, urlencoded"
        ),
        pytest.param({"data": {"question": QUESTION}}, id="plain, urlencoded"),
        pytest.param(
            {"files": [("input_key", (None, "question")), ("input_value", (None, QUESTION))]},
            id="pairs, multipart",
        ),
        pytest.param({"files": [("question", (None, QUESTION))]}, id="plain, multipart"),
        pytest.param({"json": {"question": QUESTION}}, id="JSON"),
    ],
)
def test_a_form_comes_in_every_way(api: httpx.Client, request_body: Json) -> None:
    """Pairs and plain fields, multipart, urlencoded and JSON are the same inputs."""
    generation = submitted(api.post("/api/v1/generations", **request_body))
    assert generation["inputs"] == {"question": QUESTION}


def test_a_question_about_a_document_is_answered(api: httpx.Client) -> None:
    """A form with a file ends as a text of the model, with what it took."""
    answer = api.post(
        "/api/v1/generations",
        data={"question": QUESTION},
        files={"document": ('Rechnung "é".md', f"# Invoice\n\n{FACT}".encode())},
    )
    generation = finished(api, submitted(answer))
    assert generation["status"] == "completed", generation
    assert generation["outputs"]["text"].strip()
    assert generation["inputs"]["document"]["name"] == 'Rechnung "é".md'
    assert generation["meta_data"]["attempts"] == 1
    assert generation["meta_data"]["tokens_out"] > 0
    assert "succeeded" in generation["logs"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("a.txt", FACT.encode(), id="text"),
        pytest.param("a.md", f"# Invoice\n\n- {FACT}".encode(), id="Markdown"),
        pytest.param("a.csv", b"invoice,due\n117,15 December\n118,1 May\n", id="CSV"),
        pytest.param("a.json", b'{"invoice": 117, "due": "15 December"}', id="JSON"),
        pytest.param("a.html", f"<!doctype html><p>{FACT}</p>".encode(), id="HTML"),
        pytest.param("a.pdf", pdf_files.with_pages(FACT), id="PDF"),
        pytest.param("a.docx", docx_files.docx(docx_files.paragraph(FACT)), id="DOCX"),
        pytest.param("no name of a picture.png", FACT.encode(), id="a lying name"),
    ],
)
def test_documents_of_all_types_reach_the_model(
    api: httpx.Client, name: str, content: bytes
) -> None:
    """Each type of document is read, and the model gets more than the question alone."""
    alone = finished(api, submitted(api.post("/api/v1/generations", data={"question": QUESTION})))
    answer = api.post(
        "/api/v1/generations", data={"question": QUESTION}, files={"document": (name, content)}
    )
    generation = finished(api, submitted(answer))
    assert generation["status"] == "completed", generation
    assert generation["meta_data"]["tokens_in"] > alone["meta_data"]["tokens_in"] + 5


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(PNG, "image_not_accepted", id="an image"),
        pytest.param(pdf_files.encrypted(FACT, "secret"), "unreadable_file", id="a locked PDF"),
        pytest.param(b"%PDF-1.7\nbroken", "unreadable_file", id="a broken PDF"),
        pytest.param(pdf_files.with_empty_pages(10_000), "too_long", id="10,000 pages"),
        pytest.param(pdf_files.that_unpacks_to(2_000), "unreadable_file", id="a bomb"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_clear_failure(
    api: httpx.Client, content: bytes, reason: str
) -> None:
    """A file that cannot be read fails its generation with a reason, and the worker lives on."""
    answer = api.post(
        "/api/v1/generations", data={"question": QUESTION}, files={"document": ("a", content)}
    )
    generation = finished(api, submitted(answer))
    assert (generation["status"], generation["meta_data"]["reason"]) == ("failed", reason)
    assert generation["meta_data"]["message"].startswith("document: ")
    after = submitted(api.post("/api/v1/generations", data={"question": QUESTION}))
    assert finished(api, after)["status"] == "completed"


def test_a_file_of_four_megabytes_is_taken(api: httpx.Client, dev: Dev) -> None:
    """A large file arrives whole, as bytes and not as text."""
    content = bytes(range(256)) * 16_000
    answer = api.post(
        "/api/v1/generations",
        data={"question": QUESTION},
        files={"document": ("a.pdf", b"%PDF-1.7\n" + content)},
    )
    generation = submitted(answer)
    assert generation["inputs"]["document"]["size"] == len(content) + 9
    assert dev.process.poll() is None


@pytest.mark.parametrize(
    ("request_body", "field"),
    [
        pytest.param(
            {"data": {"question": "x", "document": "y"}}, "document", id="text for a file"
        ),
        pytest.param({"json": {}}, "question", id="missing"),
        pytest.param({"data": {"question": " "}}, "question", id="blank"),
        pytest.param({"data": {"question": "x" * 2_001}}, "question", id="too long"),
        pytest.param({"data": {"question": "x", "nothing": "y"}}, "nothing", id="unknown"),
        pytest.param({"json": {"question": ["a", "b"]}}, "question", id="twice"),
        pytest.param(
            {"data": {"question": "x"}, "files": {"document": ("a.txt", b"")}},
            "document",
            id="an empty file",
        ),
        pytest.param(
            {"data": {"question": "x"}, "files": {"document": ("a.txt", b"\x00\x01\xfe")}},
            "document",
            id="an unknown type",
        ),
        pytest.param({"files": {"question": ("a.txt", b"x")}}, "question", id="file for a text"),
    ],
)
def test_a_form_that_does_not_fit_names_the_field(
    api: httpx.Client, request_body: Json, field: str
) -> None:
    """A 422 says which input is wrong, and nothing is stored."""
    before = api.get("/api/v1/generations?limit=1").json()
    answer = api.post("/api/v1/generations", **request_body)
    assert answer.status_code == 422, answer.text
    (problem,) = answer.json()["detail"]
    assert problem["loc"] == ["body", field]
    assert api.get("/api/v1/generations?limit=1").json()[0]["id"] == before[0]["id"]


def test_numbers_choices_and_defaults(app: Callable[..., httpx.Client]) -> None:
    """Inputs are checked by their kinds, and defaults hold for what is not sent."""
    client = app(
        Input(name="count", kind=Kind.NUMBER, least=1, most=9),
        Input(name="tone", kind=Kind.CHOICE, options=("friendly", "formal"), default="formal"),
        Input(name="words", multiple=True, required=False),
    )
    generation = submitted(
        client.post("/api/v1/generations", data={"count": "3", "words": ["a", "b"]})
    )
    assert generation["inputs"] == {"count": "3", "tone": "formal", "words": ["a", "b"]}
    for wrong in ({"count": "10"}, {"count": "three"}, {"count": "3", "tone": "rude"}):
        assert client.post("/api/v1/generations", data=wrong).status_code == 422


def test_a_list_is_complete_in_its_pages(app: Callable[..., httpx.Client]) -> None:
    """Newest first, the Link header leads through all, while a new one arrives."""
    client = app()
    ids = [
        submitted(client.post("/api/v1/generations", data={"text": f"Say {n}"}))["id"]
        for n in range(7)
    ]
    until(lambda: len(client.get("/api/v1/generations").json()) == 7, 10)
    listed: list[str] = []
    url: str | None = "/api/v1/generations?limit=3"
    while url:
        page = client.get(url)
        assert page.status_code == 200
        listed += [generation["id"] for generation in page.json()]
        if len(listed) == 3:
            submitted(client.post("/api/v1/generations", data={"text": "One more"}))
        url = page.links.get("next", {}).get("url")
    assert listed == ids[::-1]


def test_a_title_is_set_and_taken_away(api: httpx.Client) -> None:
    """A PATCH changes the title and nothing else, before and after the end."""
    generation = submitted(api.post("/api/v1/generations", data={"question": QUESTION}))
    path = f"/api/v1/generations/{generation['id']}"
    assert api.patch(path, json={"title": "Due dates"}).json()["title"] == "Due dates"
    ended = finished(api, generation)
    assert (ended["title"], ended["status"]) == ("Due dates", "completed")
    changed = api.patch(path, json={"title": None})
    assert changed.json() == {**ended, "title": None}
    assert api.patch(path, json={"title": "x" * 256}).status_code == 422
    assert api.patch(path, json={}).json() == changed.json()


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_ids_that_are_none_and_ids_that_are_foreign(
    api: httpx.Client, app: Callable[..., httpx.Client], method: str
) -> None:
    """400 for what is no UUID; another tenant's generation and an absent one are the same 404."""
    theirs = app()
    foreign = submitted(theirs.post("/api/v1/generations", data={"text": "Hi"}))["id"]

    def ask(text_gen_id: str) -> httpx.Response:
        body = {"title": "x"} if method == "PATCH" else None
        return api.request(method, f"/api/v1/generations/{text_gen_id}", json=body)

    for none in ("1", f"{{{ABSENT}}}", ABSENT.replace("-", ""), f"urn:uuid:{ABSENT}"):
        assert ask(none).status_code == 400
    answers = [ask(text_gen_id) for text_gen_id in (foreign, ABSENT, ABSENT.upper())]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


def test_the_token_may_stand_in_the_query_and_nowhere_else(dev: Dev, api: httpx.Client) -> None:
    """`?token=` opens what the header does, the header wins, and no log has either."""
    url = f"{dev.facts()['url']}/api/v1/generations"
    key = dev.facts()["tenants"][0]["genai_stack"]["api_key"]
    assert httpx.get(url, params={"token": key}).status_code == 200
    assert httpx.get(url).status_code == 401
    bad = {"Authorization": "Bearer nonsense"}
    assert httpx.get(url, params={"token": key}, headers=bad).status_code == 401
    assert api.get("/api/v1/generations", params={"token": "nonsense"}).status_code == 200
    assert [path for path in logs(dev) if key in path.read_text(errors="replace")] == []


def logs(dev: Dev) -> list[Path]:
    """Return the stack's logs, of which there are some."""
    found = list(dev.folder.glob("*.log"))
    assert found
    return found


def test_dialonces_generations_are_not_the_apps(dev: Dev, api: httpx.Client) -> None:
    """A key that is bound to a flow opens no other flow of its tenant."""
    tenant = dev.facts()["tenants"][0]
    mails = f"/api/companies/{tenant['id']}/orchestrators/mail-reply/generation-async"
    assert api.post(mails, json={"subject": "Hi", "body": "Hi"}).status_code == 404
    unbound = httpx.get(
        f"{dev.facts()['url']}/api/v1/apps",
        headers={"Authorization": f"Bearer {tenant['api_key']}"},
    )
    assert unbound.status_code == 404
