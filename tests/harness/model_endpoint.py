"""An OpenAI-compatible endpoint on loopback that answers `afterword model check`, and may refuse.

The stand-in is scripted, and no model; tests/models/ has a real one.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from afterword.flows import outputs
from cli.model_checks import QUESTIONS, Question
from tests.harness.web_servers import Server, file, serving

type Request = Mapping[str, Any]
type Refusal = Callable[[Request], tuple[int, object] | None]
"""Returns the status and the body of a refusal; None for a request that is taken."""

_VALUES: Mapping[str, object] = {
    "text": "Paris is the capital of France.",
    "array": {"items": ["red", "green", "blue"]},
    "json": {"name": "Jane Miller", "euros": 46},
    "class": {"classification": "refund", "confidence": 0.9},
    "one token": "One",
}


@dataclass
class Endpoint:
    """The endpoint's base URL, and the requests that it had, as far as they are JSON.

    - `refuse` has the first word.
    - `texts` replace the good answer to a question, `finish` its finish reason, `usage` its tokens.
    - Questions in `learns` have a good answer when they are repaired.
    - With `logprobs` a class has those of its tokens.
    """

    url: str
    server: Server
    refuse: Refusal = lambda _: None
    texts: dict[str, str] = field(default_factory=dict)
    finish: dict[str, str] = field(default_factory=lambda: {"one token": "length"})
    usage: object = field(
        default_factory=lambda: {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
    )
    logprobs: bool = True
    learns: frozenset[str] = frozenset()

    @property
    def requests(self) -> list[Request]:
        """The bodies of the requests so far."""
        return [json.loads(body) for body in self.server.bodies]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer the newest request."""
        asked = self.requests[-1]
        status, body = self.refuse(asked) or (200, self._complete(asked))
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        file(content, status)(request)

    def _complete(self, request: Request) -> object:
        question = find_question(request)
        asks_again = "cannot be used" in str(request["messages"][-1]["content"])
        text = self.texts.get(question.check, good_text(question))
        if asks_again and question.check in self.learns:
            text = good_text(question)
        choice: dict[str, object] = {
            "message": {"role": "assistant", "content": text},
            "finish_reason": self.finish.get(question.check, "stop"),
        }
        if request.get("logprobs") and self.logprobs:
            choice["logprobs"] = {"content": [{"token": text, "logprob": -0.1}]}
        usage = self.usage
        if question.check == "one token" and isinstance(usage, dict) and usage:
            usage = {**usage, "completion_tokens": len(text.split()), "total_tokens": None}
        return {"choices": [choice], "usage": usage}


def find_question(request: Request) -> Question:
    """Return the question of a request, by the words that only its prompt has."""
    texts = "\n".join(str(message["content"]) for message in request["messages"])
    marks = {
        "Count from one": "one token",
        "three colours": "array",
        "amount in euros": "json",
        "<template>": "template",
        "Sort the mails": "class",
    }
    check = next((check for mark, check in marks.items() if mark in texts), "text")
    return next(question for question in QUESTIONS if question.check == check)


def good_text(question: Question) -> str:
    """Return an answer that is as the question asks for it."""
    if question.template is not None:
        schema: Any = outputs.answer_schema(question.step, question.template)
        return json.dumps(dict.fromkeys(schema["properties"], "something"))
    value = _VALUES[question.check]
    return value if isinstance(value, str) else json.dumps(value)


@contextlib.contextmanager
def answering() -> Iterator[Endpoint]:
    """Serve the endpoint on a port of its own."""
    with serving(None) as server:
        endpoint = Endpoint(f"http://127.0.0.1:{server.port}/v1", server)
        server.pages["/v1/chat/completions"] = endpoint.answer
        yield endpoint
