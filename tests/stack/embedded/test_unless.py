"""Unless' API as its client sees it: questions of a session over HTTP, answered from documents."""

import re
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.stack.embedded.driver import Dev, Json, until

QUERY, ANSWER = "/api/v1/ai/async/query", "/api/v1/ai/async/answer"
ASKED = "How many days is a text kept?"
ABSENT = "019aab7a-7d4f-7c07-9c0e-0f2a5a1d3c11"
OTHERWISE = "I cannot find an answer to that in the documents."
SECONDS = 90.0


@pytest.fixture
def connect(dev: Dev) -> Iterator[Callable[..., httpx.Client]]:
    """Return a function that makes a client of one of the tenants, with all headers or changed."""
    clients: list[httpx.Client] = []

    def make(number: int = 0, **changed: str | None) -> httpx.Client:
        tenant = dev.facts()["tenants"][number]
        headers = {
            "x-api-key": tenant["api_key"],
            "x-user-email": "jane@example.com",
            "x-account-id": tenant["id"],
            "x-website-id": tenant["unless"]["website"],
        } | {name.replace("_", "-"): value for name, value in changed.items()}
        sent = {name: value for name, value in headers.items() if value is not None}
        clients.append(httpx.Client(base_url=dev.facts()["url"], headers=sent, timeout=60))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def ask(
    client: httpx.Client, query: str = ASKED, session: str | None = None, **more: object
) -> str:
    """Submit a question and return its id."""
    body = {"query": query, "sessionId": session or f"s-{uuid.uuid4()}", "visitorId": "v-1", **more}
    response = client.post(QUERY, json=body)
    assert response.status_code == 200, response.text
    assert response.json().keys() == {"questionId"}
    question_id: str = response.json()["questionId"]
    return question_id


def read(client: httpx.Client, question_id: str) -> Json:
    """Read where a question stands."""
    response = client.get(ANSWER, params={"questionId": question_id})
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


def finish(client: httpx.Client, question_id: str) -> Json:
    """Wait until a question is answered."""

    def ended() -> Json | None:
        answer = read(client, question_id)
        return answer if answer["status"] not in {"PENDING", "PROCESSING"} else None

    answer = until(ended, SECONDS)
    assert answer is not None
    return answer


def messages(answer: Json) -> list[tuple[str, str]]:
    """Return the messages: role and text."""
    return [(turn["sender"], turn["message"]) for turn in answer["chatData"]["history"]]


def test_a_question_is_answered_from_documents(connect: Callable[..., httpx.Client]) -> None:
    """A question comes back DONE with every field of the documentation's long example."""
    client = connect()
    before = time.time() * 1000
    metadata = {"page": "/pricing", "n": 1.50, "nested": {"a": [None, True]}}
    question_id = ask(client, session="session-123", metadata=metadata, conversationName="Prices")
    first = read(client, question_id)
    assert first["questionId"] == question_id
    answer = finish(client, question_id)
    assert answer.keys() == {"questionId", "status", "chatData"}
    chat = answer["chatData"]
    assert answer["status"] == "DONE"
    assert chat["conversationId"] == f"async-{question_id}"
    assert (chat["sessionId"], chat["conversationName"]) == ("session-123", "Prices")
    assert (chat["metadata"], chat["toolsetName"], chat["personalizationId"]) == (
        metadata,
        None,
        "",
    )
    user, bot = chat["history"][-2:]
    assert user.keys() >= {
        *("type", "timestamp", "uuid", "hidden", "sender", "message", "metadata", "languageCode"),
        *("showMetadata", "canGetFeedback", "feedback"),
    }
    assert (user["type"], user["sender"], user["message"]) == ("message", "user", ASKED)
    assert (user["languageCode"], user["metadata"]) == ("en", [])
    assert (bot["sender"], bot["canGetFeedback"]) == ("bot", True)
    assert "30" in bot["message"]
    assert before <= user["timestamp"] <= bot["timestamp"] <= time.time() * 1000
    assert len({str(uuid.UUID(turn["uuid"])) for turn in chat["history"]}) == len(chat["history"])
    (source,) = bot["metadata"]
    assert source["title"] == "How long are texts kept?"
    assert source["source"] == "docs/faq/how-long-are-texts-kept.md"
    assert source["isUsedForAnswer"] is True
    assert source["isPublic"] is False
    assert re.fullmatch("[0-9a-f]{32}", source["stableId"])
    assert str(uuid.UUID(source["documentId"])) == source["documentId"]
    assert str(uuid.UUID(source["trainingDataId"])) == source["trainingDataId"]


@pytest.mark.parametrize("query", ["Who painted Guernica?", "Quelle est la capitale du Pérou ?"])
def test_what_the_documents_do_not_answer_is_said(
    connect: Callable[..., httpx.Client], query: str
) -> None:
    """A question that no document has to do with gets an answer that says so, without sources."""
    answer = finish(client := connect(), ask(client, query))
    *_, bot = answer["chatData"]["history"]
    assert (bot["message"], bot["metadata"]) == (OTHERWISE, [])


def test_a_session_is_one_conversation(connect: Callable[..., httpx.Client]) -> None:
    """Questions of a session follow on each other; another session's are not among them."""
    client, session = connect(), f"s-{uuid.uuid4()}"
    first = finish(client, ask(client, "Can a text be lost?", session))
    finish(client, ask(client, "Who can read my texts?"))
    second = finish(client, ask(client, "Which models can be used?", session))
    assert messages(second)[:2] == messages(first)
    assert [text for sender, text in messages(second) if sender == "user"] == [
        "Can a text be lost?",
        "Which models can be used?",
    ]


def test_a_client_goes_on_with_its_own_chat_data(connect: Callable[..., httpx.Client]) -> None:
    """A realtime query answers after the turns that were sent, and its answer can be judged.

    An answer that outlasts the wait is read, and judged, with the chat data of its session.
    """
    client = connect()
    sent = {"sender": "user", "message": "Hello"}, {"sender": "bot", "message": "Welcome."}
    body = {"query": ASKED, "sessionId": f"s-{uuid.uuid4()}", "visitorId": "v-1"}
    response = client.post("/api/v1/ai/query", json={**body, "chatDataJson": {"history": sent}})
    assert response.status_code in {200, 504}, response.text
    if response.status_code == 504:
        chat = finish(client, response.json()["questionId"])["chatData"]
        assert [turn["sender"] for turn in chat["history"]] == ["user", "bot"]
    else:
        chat = response.json()
        assert chat["history"][:2] == [*sent]
    judged = {"chatDataJson": chat, "feedback": "negative"}
    response = client.post("/api/v1/ai/feedback", json=judged)
    assert (response.status_code, response.json()["feedback"]) == (200, "negative")
    answer = read(client, response.json()["questionId"])
    assert answer["chatData"]["history"][-1]["feedback"] == "negative"


def test_two_questions_at_once_are_both_in_the_history(
    connect: Callable[..., httpx.Client],
) -> None:
    """Both end up in the history, once each, in the order in which they were asked."""
    client, session = connect(), f"s-{uuid.uuid4()}"
    queries = ["Can a text be lost?", "Who can read my texts?"]
    with ThreadPoolExecutor(2) as pool:
        ids = list(pool.map(lambda query: ask(client, query, session), queries))
    for question_id in ids:
        assert finish(client, question_id)["status"] == "DONE"
    last = finish(client, ask(client, "Which models can be used?", session))
    asked = [turn for turn in last["chatData"]["history"] if turn["sender"] == "user"]
    assert sorted(turn["message"] for turn in asked[:2]) == queries
    assert asked[2]["message"] == "Which models can be used?"
    assert [turn["timestamp"] for turn in asked] == sorted(turn["timestamp"] for turn in asked)
    assert len(last["chatData"]["history"]) == 6


def test_the_key_alone_is_enough(connect: Callable[..., httpx.Client]) -> None:
    """Account, website and address are checked when they are sent, and not needed."""
    client = connect(x_user_email=None, x_account_id=None, x_website_id=None)
    assert finish(client, ask(client))["status"] == "DONE"


def test_errors_are_sentences(connect: Callable[..., httpx.Client]) -> None:
    """A fault is named in one shape, and a foreign thing is as if absent."""
    mine, theirs = connect(), connect(1)
    foreign = ask(theirs)
    good = {"query": ASKED, "sessionId": "s", "visitorId": "v"}
    answers = [
        (mine.get(ANSWER, params={"questionId": foreign}), 404),
        (mine.get(ANSWER, params={"questionId": ABSENT}), 404),
        (mine.get(ANSWER, params={"questionId": "x' OR 1=1"}), 404),
        (mine.get(ANSWER), 400),
        (mine.post(QUERY, json={**good, "query": " "}), 400),
        (mine.post(QUERY, json={**good, "query": "x" * 100_000}), 400),
        (mine.post(QUERY, json={"query": ASKED, "sessionId": "s"}), 400),
        (mine.post(QUERY, json={**good, "metadata": []}), 400),
        (mine.post(QUERY, content=b"\xff"), 400),
        (connect(x_api_key=None).post(QUERY, json=good), 401),
        (connect(x_account_id="other").post(QUERY, json=good), 403),
        (connect(x_website_id="nowhere").post(QUERY, json=good), 403),
        (connect(x_user_email="jane").post(QUERY, json=good), 400),
    ]
    for answer, status in answers:
        assert answer.status_code == status, answer.text
        assert answer.json().keys() == {"error"}
        assert len(answer.json()["error"]) < 500
    assert answers[0][0].content == answers[1][0].content == answers[2][0].content


@pytest.mark.parametrize("query", ["What is {{question}}?", "Dear [Name], {{context}} {{step1}}"])
def test_braces_and_brackets_stay_as_they_are(
    connect: Callable[..., httpx.Client], query: str
) -> None:
    """A name in a question is shown as it was sent, with its braces and brackets."""
    client = connect()
    answer = finish(client, ask(client, query))
    assert messages(answer)[0] == ("user", query)


def test_any_dialect_reads_a_question(dev: Dev, connect: Callable[..., httpx.Client]) -> None:
    """A question of this API can be read through another one by the same tenant."""
    client = connect()
    question_id = ask(client)
    answer = finish(client, question_id)
    key = dev.facts()["tenants"][0]["api_key"]
    log = client.get(f"/v1/logs/{question_id}", headers={"Authorization": f"Bearer {key}"}).json()
    assert log["results"]["result"] == messages(answer)[-1][1]
