"""Unless' API in the tests: a client of a session, the seed's example, and whole results."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from afterword import clock
from afterword.flows.drafts import Flow
from afterword.generations import Completion, Source
from afterword.services import services
from tests.conftest import Event
from tests.harness.api import invoke
from tests.harness.response_headers import NO_STORE

WEBSITE = "help-center"
CHAT = {
    "id": WEBSITE,
    "name": "Help center",
    "type": "chat",
    "inputs": [{"name": "question", "kind": "long_text"}],
    "steps": [{"name": "answer", "instructions": "Answer the question."}],
}
SESSION = "23d1b8d1-64f5-4dd2-8122-73e56d0c78ff"
ASKED = {"query": "What does Unless do?", "sessionId": SESSION, "visitorId": "visitor-1"}
"""The seed's question."""
ANSWER = (
    "Unless is a tool that allows companies to create highly personalized and compelling landing"
    " pages to highlight their benefits compared to competitors. It also offers AI training to"
    " become an expert in a company's product and provides conversational UI components."
)
SOURCE = Source(
    content="4c0cbe48-bd8b-403e-bbad-3d16a9c679c9",
    title="Rapid experimentation",
    folder="1e61e2e6-8b3f-4b90-8703-a40aa6d7783f",
    external_id="rapid-experimentation",
    source="https://unless.com/en/blog/customer-cases/rapid-experimentation-at-prenatal/",
    used=True,
)
DOCUMENTED: dict[str, Any] = {
    "history": [
        {
            "type": "message",
            "timestamp": 1687956110772,
            "uuid": "57c1968c-1b49-48d5-a484-ed299e609b8a",
            "hidden": False,
            "sender": "user",
            "message": "What does Unless do?",
            "metadata": [],
            "languageCode": "en",
            "showMetadata": False,
            "canGetFeedback": False,
            "feedback": "",
        },
        {
            "type": "message",
            "timestamp": 1687956112605,
            "uuid": "5aa331df-1e6d-4ee2-b6aa-93176e521469",
            "hidden": False,
            "sender": "bot",
            "canGetFeedback": True,
            "message": ANSWER,
            "metadata": [
                {
                    "title": SOURCE.title,
                    "isPublic": True,
                    "isUsedForAnswer": True,
                    "source": SOURCE.source,
                    "documentId": SOURCE.content,
                    "stableId": "c37310599c08a2a2d5295fbd98c42a34",
                    "trainingDataId": SOURCE.folder,
                }
            ],
            "showMetadata": False,
            "feedback": "",
        },
    ],
    "metadata": {},
    "toolsetName": None,
    "personalizationId": "",
    "sessionId": SESSION,
    "conversationName": None,
    "conversationId": "e796d388-ddb3-4ab6-9891-06f2e4dd16cb",
}
"""The seed's long example."""
OURS = ("uuid", "stableId", "conversationId")
"""Ids of the example that are made anew here."""

type Result = dict[str, Any]


@dataclass(frozen=True)
class Visitor:
    """A client with the key of a tenant; `load` reads a sample event."""

    load: Callable[[str], Event]
    tenant: str
    key: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def event(self, name: str, **headers: str) -> Event:
        """Return a sample event with the key in it, and no other header of the API's."""
        event = self.load(name)
        kept = {
            header: value
            for header, value in event["headers"].items()
            if not header.startswith("x-")
        }
        named = {header.replace("_", "-"): value for header, value in headers.items()}
        event["headers"] = {**kept, "x-api-key": self.key, **self.headers, **named}
        return event

    def post(self, body: str, **headers: str) -> Result:
        """Post a body."""
        event = self.event("submit_query", **headers) | {"body": body}
        return invoke("submit_query", event)

    def ask(self, query: str = ASKED["query"], /, **fields: object) -> Result:
        """Ask a question of the seed's session; `fields` stand instead of its fields, or beside."""
        return self.post(json.dumps({**ASKED, "query": query, **fields}))

    def asked(self, query: str = ASKED["query"], /, **fields: object) -> str:
        """Ask a question that is accepted, and return its id."""
        result = self.ask(query, **fields)
        assert result["statusCode"] == 200, result
        found: str = json.loads(result["body"])["questionId"]
        return found

    def answer(self, question_id: str, **headers: str) -> Result:
        """Get the answer to a question."""
        event = self.event("get_answer", **headers)
        event["queryStringParameters"] = {"questionId": question_id}
        event["rawQueryString"] = f"questionId={question_id}"
        return invoke("get_answer", event)

    def chat(self, question_id: str) -> Any:  # noqa: ANN401 - JSON
        """Get the chat data of a question that is answered."""
        body = json.loads(self.answer(question_id)["body"])
        assert list(body) == ["questionId", "status", "chatData"], body
        assert (body["questionId"], body["status"]) == (question_id, "DONE")
        return body["chatData"]


def put_flow(tenant: str, **changes: object) -> None:
    """Save the chat of the help center, with changes."""
    flow = Flow.model_validate({**CHAT, **changes})
    services().registry.put_flow(tenant, flow.id, flow.model_dump_json(exclude_unset=True))


def finish(tenant: str, question_id: str, text: str = ANSWER, *sources: Source) -> None:
    """Answer a question as a worker does."""
    claim = services().store.claim(tenant, question_id, clock.now() + timedelta(seconds=70))
    assert claim is not None
    completion = Completion(
        text=text, model="m", stop_reason="stop", tokens_in=9, tokens_out=9, sources=sources
    )
    assert services().store.succeed(claim, completion)


def answer(body: object, status: int = 200, **headers: str) -> Result:
    """Return the whole result with this body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    text = json.dumps(body, ensure_ascii=False)
    headers = {"content-type": "application/json", **NO_STORE, **named}
    return {"statusCode": status, "headers": headers, "body": text}


def refusal(status: int, message: str, **headers: str) -> Result:
    """Return the whole result of an error."""
    return answer({"error": message}, status, **headers)


def turns(chat: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the conversation's turns: role and text."""
    return [(turn["sender"], turn["message"]) for turn in chat["history"]]


NOT_THEIRS = refusal(403, "The API key is not for this account and website.")
NO_SUCH_QUESTION = refusal(404, "There is no such generation.")
