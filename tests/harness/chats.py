"""Chat sessions of GenAI Stack's API as their clients use them."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.conftest import Event
from tests.harness.genai_stack import Client, Result, body_of, send
from tests.harness.response_headers import NO_STORE


@dataclass(frozen=True)
class Chats:
    """A client of a chat app's sessions; `client` has the app's key."""

    client: Client

    def event(self, endpoint: str, session_id: str | None = None) -> Event:
        """Return an endpoint's sample event with the key in it, for a session."""
        event = self.client.event(endpoint)
        if session_id is not None:
            event["pathParameters"]["chat_session_id"] = session_id
        return event

    def create(self, body: str | None = None) -> Result:
        """Create a session with a body, None for none."""
        event = self.event("create_chat_session")
        event["body"] = body
        if body is None:
            del event["body"]
        return send("create_chat_session", event)

    def created(self, title: str | None = None) -> str:
        """Create a session, and return its id."""
        session_id: str = body_of(self.create(json.dumps({"title": title})))["id"]
        return session_id

    def list(self, **query: str) -> Result:
        """List a page of sessions."""
        event = self.event("list_chat_sessions")
        event |= {"queryStringParameters": query, "rawQueryString": urlencode(query)}
        return send("list_chat_sessions", event)

    def get(self, session_id: str) -> Result:
        """Get a session."""
        return send("get_chat_session", self.event("get_chat_session", session_id))

    def post(self, session_id: str, body: object, **headers: str) -> Result:
        """Send a body to a session, JSON unless it is a text."""
        event = self.event("send_chat_message", session_id)
        event["headers"] |= {name.replace("_", "-"): value for name, value in headers.items()}
        event["body"] = body if isinstance(body, str) else json.dumps(body)
        return send("send_chat_message", event)

    def say(self, session_id: str, question: str, **headers: str) -> Result:
        """Send a question to a session."""
        return self.post(session_id, message(question), **headers)

    def said(self, session_id: str, question: str) -> str:
        """Send a question to a session, and return its generation's id."""
        generation_id: str = events_of(self.say(session_id, question))[-1][1]["text_gen_id"]
        return generation_id


def message(question: str) -> dict[str, object]:
    """Return the body of a message, as the service documents it."""
    return {"chatKey": "question", "inputs": {"question": question}}


def turn(text: str, *, is_bot: bool, key: str = "question") -> dict[str, object]:
    """Return a turn of a session."""
    return {
        "is_bot": is_bot,
        "message": text,
        "chatKey": key,
        "type": "text",
        "intermediate_steps": "",
        "files": [],
    }


def turns(*texts: str) -> list[dict[str, object]]:
    """Return the turns of questions and answers, which alternate."""
    return [turn(text, is_bot=bool(number % 2)) for number, text in enumerate(texts)]


def events_of(result: Result) -> list[tuple[str, Any]]:
    """Return the names and data of the events of an answer that is good."""
    assert result["statusCode"] == 200, result
    assert result["headers"] == {"content-type": "text/event-stream", **NO_STORE}
    *texts, rest = result["body"].split("\n\n")
    assert rest == ""
    events = []
    for text in texts:
        name, data = text.split("\n")
        events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events
