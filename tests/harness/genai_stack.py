"""GenAI Stack's API as its clients call it, and whole results to expect."""

import base64
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from urllib3 import encode_multipart_formdata

from tests.conftest import FLOW, Event
from tests.harness.api import invoke
from tests.harness.response_headers import NO_STORE

ENDPOINTS = (
    "get_stack_app",
    "list_text_generations",
    "create_text_generation",
    "get_text_generation",
    "update_text_generation",
)
"""The API's endpoints by name; each has a sample event of its name."""

STARTED = "2026-11-10T09:00:00.000Z"
"""START as the API writes it."""
ABSENT = "019a6f3e-7c00-7000-8000-000000000009"
BIG = "x" * 20_000
"""A text that does not fit into an item."""

FORM = "letters"
FORM_INPUTS: list[dict[str, object]] = [
    {"name": "topic", "label": "What it is about", "max_length": 40},
    {"name": "story", "kind": "long_text", "required": False},
    {"name": "words", "kind": "number", "required": False, "least": 1, "most": 500},
    {"name": "draft", "kind": "boolean", "required": False},
    {"name": "tone", "kind": "choice", "options": ["formal", "friendly"], "default": "formal"},
    {"name": "keywords", "required": False, "multiple": True},
    {
        "name": "sources",
        "kind": "file",
        "required": False,
        "multiple": True,
        "max_bytes": 1_000,
    },
    {"name": "photo", "kind": "file", "required": False},
]
FORM_DOCUMENT = json.dumps(
    {
        "id": FORM,
        "name": "Letters",
        "inputs": FORM_INPUTS,
        "steps": [{"name": "write", "instructions": "Write a letter."}],
    }
)
"""A flow that asks for every kind of input."""

CHAT = "assistant"
CHAT_DOCUMENT = json.dumps(
    {
        "id": CHAT,
        "name": "Assistant",
        "type": "chat",
        "inputs": [{"name": "question"}, {"name": "paper", "kind": "file", "required": False}],
        "steps": [{"name": "answer", "instructions": "Answer the question."}],
    }
)
"""A flow that is shown as a conversation."""

DOCUMENTED_READ = {
    "id": "123e4567-e89b-12d3-a456-426614174000",
    "title": "text",
    "inputs": {},
    "outputs": {},
    "logs": "text",
    "meta_data": {},
    "status": "pending",
}
"""A TextGenerationRead as GenAI Stack documents it."""
DOCUMENTED_APP = {
    "id": "123e4567-e89b-12d3-a456-426614174000",
    "data": {},
    "form_keys_data": {},
    "stack_type": "chat",
    "chat_sessions": [
        {
            "id": "123e4567-e89b-12d3-a456-426614174000",
            "title": "text",
            "data": [
                {
                    "is_bot": True,
                    "message": "text",
                    "chatKey": "text",
                    "type": "text",
                    "intermediate_steps": "text",
                    "files": [],
                }
            ],
        }
    ],
    "text_generations": [DOCUMENTED_READ],
}
"""A stack app as GenAI Stack documents it."""

type Result = dict[str, Any]
type Value = str | tuple[str, bytes]
"""An input as a client sends it: a text, or a file's name and content."""


@dataclass(frozen=True)
class Client:
    """A client with the key of an app; `load` reads a sample event."""

    load: Callable[[str], Event]
    tenant: str
    flow: str
    key: str

    def event(self, endpoint: str, generation_id: str | None = None) -> Event:
        """Return an endpoint's sample event with the key in it, for a generation."""
        event = self.load(endpoint)
        event["headers"]["authorization"] = f"Bearer {self.key}"
        if generation_id is not None:
            event["pathParameters"]["text_gen_id"] = generation_id
        return event

    def app(self) -> Result:
        """Get the app."""
        return send("get_stack_app", self.event("get_stack_app"))

    def list(self, **query: str) -> Result:
        """List a page of generations."""
        event = self.event("list_text_generations")
        event["rawQueryString"] = urlencode(query, errors="replace")
        event["queryStringParameters"] = query
        return send("list_text_generations", event)

    def pages(self, **query: str) -> Iterator[Result]:
        """List pages to the end, as the Link headers lead."""
        page: Result | None = self.list(**query)
        while page is not None:
            yield page
            page = self.next(page)

    def next(self, page: Result) -> Result | None:
        """List the page that another one links to, None if it is the last one."""
        query = link(page)
        return None if query is None else self.list(**query)

    def post(self, content_type: str, body: bytes, **headers: str) -> Result:
        """Post a form, as API Gateway passes it on: in base64."""
        event = self.event("create_text_generation")
        event["headers"] |= {"content-type": content_type, "content-length": str(len(body))}
        event["headers"] |= {name.replace("_", "-"): value for name, value in headers.items()}
        event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
        return send("create_text_generation", event)

    def submit(self, *fields: tuple[str, Value], **headers: str) -> Result:
        """Post fields by their own names, with files as a multipart form, else urlencoded."""
        if any(isinstance(value, tuple) for _, value in fields):
            body, content_type = encode_multipart_formdata(list(fields))
            return self.post(content_type, body, **headers)
        body = urlencode(fields).encode()
        return self.post("application/x-www-form-urlencoded", body, **headers)

    def submitted(self, *fields: tuple[str, Value]) -> str:
        """Post fields that are accepted, and return the generation's id."""
        result = self.submit(*(fields or (("text", "Hello"),)))
        assert result["statusCode"] == 200, result
        generation_id: str = json.loads(result["body"])["id"]
        return generation_id

    def get(self, generation_id: str) -> Result:
        """Get a generation."""
        return send("get_text_generation", self.event("get_text_generation", generation_id))

    def update(self, generation_id: str, body: str) -> Result:
        """Update a generation with a body."""
        event = self.event("update_text_generation", generation_id) | {"body": body}
        return send("update_text_generation", event)

    def set_title(self, generation_id: str, title: object) -> Result:
        """Update a generation's title."""
        return self.update(generation_id, json.dumps({"title": title}))


def send(endpoint: str, event: Event) -> Result:
    """Call an endpoint's handler."""
    return invoke(endpoint, event)


def answer(body: object, status: int = 200, **headers: str) -> Result:
    """Return the whole result with this body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", **NO_STORE, **named},
        "body": json.dumps(body, ensure_ascii=False),
    }


def refusal(status: int, detail: str, **headers: str) -> Result:
    """Return the whole result of an error, in FastAPI's shape."""
    return answer({"detail": detail}, status, **headers)


def unauthorized(detail: str) -> Result:
    """Return the whole result of a request without a good key."""
    return refusal(401, detail, www_authenticate="Bearer")


def unprocessable(field: str, message: str, *more: tuple[str, str]) -> Result:
    """Return the whole result of fields that do not fit, in FastAPI's shape."""
    detail = [
        {"loc": ["body", each], "msg": said, "type": "value_error"}
        for each, said in ((field, message), *more)
    ]
    return answer({"detail": detail}, 422)


NO_APP = refusal(404, "No stack app is found for this API key.")
NO_SUCH_GENERATION = refusal(404, "There is no such generation.")
NO_UUID = refusal(400, "text_gen_id: must be a valid UUID.")


def shown(  # noqa: PLR0913 - the fields of a generation
    generation_id: str,
    inputs: Mapping[str, object],
    status: str = "pending",
    *,
    title: str | None = None,
    text: str | None = None,
    logs: str = "",
    **meta_data: object,
) -> dict[str, object]:
    """Return a generation as it is shown: submitted at START, unless `meta_data` says otherwise.

    `logs` are the lines after the first one.
    """
    meta: dict[str, object] = {
        "flow": FLOW,
        "flow_version": 1,
        "attempts": 0,
        "created_at": STARTED,
        "finished_at": None,
        "seconds": None,
        "model": None,
        "tokens_in": None,
        "tokens_out": None,
        "stop_reason": None,
        "reason": None,
        "message": None,
        "gone": False,
        **meta_data,
    }
    first = f"{meta['created_at']} submitted to {meta['flow']}"
    return {
        "id": generation_id,
        "title": title,
        "inputs": inputs,
        "outputs": {} if text is None else {"text": text},
        "logs": f"{first}\n{logs}" if logs else first,
        "meta_data": meta,
        "status": status,
    }


def body_of(result: Result) -> Any:  # noqa: ANN401 - whatever the body is
    """Return the body of a result that is good."""
    assert result["statusCode"] == 200, result
    return json.loads(result["body"])


def ids(page: Result) -> list[str]:
    """Return the ids of the generations of a page."""
    return [generation["id"] for generation in body_of(page)]


def link(page: Result) -> dict[str, str] | None:
    """Return the query of a page's link to the next one, None if there is no link."""
    header = page["headers"].get("link")
    if header is None:
        return None
    match = re.fullmatch('<(/api/v1/generations[?][^<>]+)>; rel="next"', header)
    assert match is not None, header
    query = parse_qs(urlsplit(match[1]).query, strict_parsing=True)
    return {name: value for name, (value,) in query.items()}


def differences(body: object, example: object, where: str = "") -> list[str]:
    """Return where a body has other fields or other types than a documented example.

    An example's empty object or list stands for any; a title may be null, as in an update.
    """
    match example:
        case dict() if isinstance(body, dict):
            if example and list(body) != list(example):
                return [f"{where}: {list(body)}"]
            return [
                difference
                for name in example
                for difference in differences(body[name], example[name], f"{where}.{name}")
            ]
        case [each] if isinstance(body, list):
            return [
                difference
                for number, item in enumerate(body)
                for difference in differences(item, each, f"{where}[{number}]")
            ]
        case str() if where.endswith(".id") and isinstance(body, str):
            return [] if str(uuid.UUID(body)) == body else [f"{where}: {body}"]
        case str() if where.endswith(".title") and body is None:
            return []
    return [] if type(body) is type(example) else [f"{where}: {type(body).__name__}"]
