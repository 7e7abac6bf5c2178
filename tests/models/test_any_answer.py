"""Any answer of an endpoint is a completion, or one of the three errors of a model."""

import copy
import json
import random
import re
import secrets
import socket
import string
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import urllib3

from afterword.generations import Completion
from afterword.models import (
    LENGTH,
    STOP,
    ModelError,
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
    Prompt,
)
from afterword.models.openai import MAX_REQUESTS, OpenAIModel

PROMPT = Prompt(
    system="Answer.",
    user="Where is my order?",
    schema={"type": "object"},
    model="m",
    max_tokens=60,
    temperature=0.0,
    logprobs=True,
)
COMPLETION = {
    "id": "x",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": [{"type": "text", "text": "<think>a</think>b"}],
                "reasoning_content": "c",
                "refusal": None,
            },
            "finish_reason": "stop",
            "logprobs": {
                "content": [
                    {"token": "a", "logprob": -0.5},
                    {"token": "b", "logprob": -0.5, "bytes": [98]},
                ]
            },
            "error": None,
        }
    ],
    "usage": {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "total_tokens": 3,
        "completion_tokens_details": {"reasoning_tokens": 1},
    },
}
_CHOICE = ("choices", 0)
PATHS: tuple[tuple[str | int, ...], ...] = (
    (*_CHOICE, "finish_reason"),
    (*_CHOICE, "error"),
    (*_CHOICE, "message", "content"),
    (*_CHOICE, "message", "content"),
    (*_CHOICE, "message", "content", 0, "text"),
    (*_CHOICE, "message", "refusal"),
    (*_CHOICE, "message", "reasoning_content"),
    (*_CHOICE, "logprobs", "content", 0, "token"),
    (*_CHOICE, "logprobs", "content", 0, "logprob"),
    (*_CHOICE, "logprobs", "content", 1, "bytes"),
    ("usage", "prompt_tokens"),
    ("usage", "completion_tokens"),
    ("usage", "total_tokens"),
    ("usage", "completion_tokens_details", "reasoning_tokens"),
)
"""The parts of a completion that are read."""
WILD = [each["body"] for each in json.loads((Path(__file__).parent / "wild.json").read_text())]
SEEDS = (*range(4), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(4, 40)))
WORDS = (
    "stop", "length", "error", "content_filter", "tool_calls", "text", "thinking", "refusal",
    "<think>", "</think>", "`", "\ud83d", "\ude00", "\x00", "é", "{", '{"error": {"code": 1}}',
    "max_tokens is not supported", "context length exceeded", "insufficient_quota", "429",
)  # fmt: skip
NAMES = (
    "choices", "message", "content", "error", "code", "param", "type", "finish_reason", "usage",
    "logprobs", "token", "logprob", "bytes", "text", "detail", "loc", "citationsContent", "raw",
)  # fmt: skip


class Maker:
    """Makes answers: completions and errors in the wild, with random changes."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - makes tests

    def value(self, depth: int = 0) -> Any:  # noqa: ANN401 - of JSON
        """Return any JSON value, and some that only Python takes for one."""
        pick = self._random
        simple = [
            None, True, False, 0, -1, 1, 255, 256, 429, 10**30, -(10**400), 0.5, -1e308,
            float("nan"), float("inf"), float("-inf"), "", "\ud83d", "\ude00x",
            pick.choice(WORDS), pick.choice(WORDS) * 3,
        ]  # fmt: skip
        if depth > 3 or pick.random() < 0.6:
            return pick.choice(simple)
        if pick.random() < 0.5:
            return [self.value(depth + 1) for _ in range(pick.randrange(4))]
        return {pick.choice(NAMES): self.value(depth + 1) for _ in range(pick.randrange(4))}

    def change(self, value: Any) -> Any:  # noqa: ANN401 - of JSON
        """Return a value with one part replaced, left out or added."""
        pick = self._random
        if not isinstance(value, dict | list) or not value or pick.random() < 0.15:
            return self.value()
        if isinstance(value, list):
            at = pick.randrange(len(value))
            return [*value[:at], self.change(value[at]), *value[at + 1 :]]
        name = pick.choice(list(value))
        kept = {key: each for key, each in value.items() if key != name}
        match pick.randrange(6):
            case 0:
                return kept
            case 1:
                return {**value, pick.choice(NAMES): self.value()}
            case _:
                return {**kept, name: self.change(value[name])}

    def completion(self) -> dict[str, Any]:
        """Return a completion with one of the parts that are read replaced."""
        completion = copy.deepcopy(COMPLETION)
        *path, last = self._random.choice(PATHS)
        part: Any = completion
        for name in path:
            part = part[name]
        part[last] = self.value()
        return completion

    def body(self) -> bytes:
        """Return the bytes of an answer."""
        pick = self._random
        value: Any = pick.choice(
            [self.completion(), self.completion(), COMPLETION, pick.choice(WILD), self.value()]
        )
        for _ in range(pick.choice([0, 0, 1, 2, 3])):
            value = self.change(value)
        body = json.dumps(value).encode()
        match pick.randrange(12):
            case 0:
                body = body[: pick.randrange(len(body) + 1)]
            case 1:
                at = pick.randrange(len(body) + 1)
                body = body[:at] + pick.randbytes(3) + body[at:]
            case 2:
                body = pick.randbytes(pick.randrange(200))
            case 3:
                opened = pick.choice([b"[", b'{"choices":[{"message":{"content":', b'{"error":'])
                body = opened * pick.choice([1, 50, 2_000, 50_000])
            case 4:
                depth = pick.choice([500, 900, 1_500, 5_000])
                deep = b'{"a":' * depth + b"1" + b"}" * depth
                body = b'{"choices":[{"message":{"content":' + deep + b"}}]}"
            case 5:
                depth = pick.choice([500, 900, 1_500, 5_000])
                deep = b"[" * depth + b"]" * depth
                body = b'{"error":' + deep + b"}"
            case 6:
                body = b'{"choices":[{"index":' + b"9" * 5_000 + b"}]}"
        return body

    def status(self) -> int:
        """Return the status of an answer."""
        return self._random.choice(
            [200, 200, 200, 201, 204, 302, 400, 403, 404, 422, 429, 500, 599]
        )

    def headers(self) -> dict[str, str]:
        """Return headers, one of them a Retry-After of any text."""
        pick = self._random
        date = "Mon, 30 Nov 2026 04:00:00 GMT"
        at = pick.randrange(len(date))
        value = pick.choice(
            ["", "1", "-1", "9" * 30, date, date[:at], date[at:], date.replace("0", "9"),
             "".join(pick.choice(string.printable) for _ in range(20))]
        )  # fmt: skip
        return {pick.choice(["Retry-After", "retry-after-ms"]): value}

    def response(self) -> bytes:
        """Return the bytes of an HTTP response, sound or not."""
        pick = self._random
        body = self.body()
        lines = [f"HTTP/1.1 {self.status()} X", f"content-length: {len(body)}", "connection: close"]
        extra = [
            "content-encoding: gzip", "transfer-encoding: chunked", "content-length: 5",
            "content-length: x", ":", "a" * 70_000, "retry-after: \xff", "location: /",
        ]  # fmt: skip
        lines += pick.sample(extra, pick.randrange(3))
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        raw = head + body
        return raw if pick.random() < 0.7 else raw[: pick.randrange(len(raw) + 1)]


class Answered:
    """A response of urllib3, as far as the client reads one."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self._left = body

    def read1(self, size: int) -> bytes:
        """Return the next bytes of the body."""
        read, self._left = self._left[:size], self._left[size:]
        return read

    def close(self) -> None:
        """Leave it."""


def check_outcome(model: OpenAIModel, note: str) -> str:
    """Ask the model once; return the name of the outcome, a good completion or an error."""
    try:
        completion = model.generate(PROMPT, timeout=30)
    except (ModelUnavailableError, ModelRefusedError, ModelTimedOutError) as error:
        check_error(error, note)
        return type(error).__name__
    check_completion(completion, note)
    return "Completion"


def check_error(error: ModelError, note: str) -> None:
    message = str(error)
    assert message.encode().isascii(), note
    assert len(message) < 400, note
    assert "\n" not in message, note
    if isinstance(error, ModelUnavailableError | ModelTimedOutError):
        assert error.retry_after is None or 0 <= error.retry_after < 1e8, note
    if isinstance(error, ModelUnavailableError | ModelRefusedError) and error.spent is not None:
        check_completion(error.spent, note)


def check_completion(completion: Completion, note: str) -> None:
    assert completion.text.encode() is not None, note
    unquoted = re.sub(r"([\"'`])</think>\1", "", completion.text)  # quoted tags are text
    assert "</think>" not in unquoted or "`" in unquoted, note
    assert completion.stop_reason in {STOP, LENGTH}, note
    for tokens in (completion.tokens_in, completion.tokens_out):
        assert type(tokens) is int, note
        assert 0 <= tokens < 1e10, note
    assert all(isinstance(token.text, bytes) for token in completion.tokens), note


@pytest.mark.parametrize("seed", [*SEEDS, None])
def test_any_body_is_an_answer_or_an_error_of_a_model(
    monkeypatch: pytest.MonkeyPatch, seed: int | None
) -> None:
    """JSON of any form, no JSON, any header and any status raise nothing else."""
    chosen = secrets.randbits(32) if seed is None else seed
    print(f"seed {chosen}")  # noqa: T201 - shown where it fails
    maker = Maker(chosen)
    asked = 0

    def respond(*_: object, **__: object) -> Answered:
        nonlocal asked
        asked += 1
        return Answered(maker.status(), maker.headers(), maker.body())

    monkeypatch.setattr(urllib3.PoolManager, "request", respond)
    outcomes = set()
    for number in range(300):
        asked = 0
        model = OpenAIModel("http://127.0.0.1:9", lambda: None, pool_size=1)
        outcomes.add(check_outcome(model, f"seed {chosen}, answer {number}"))
        assert asked <= MAX_REQUESTS
    assert outcomes == {"Completion", "ModelUnavailableError", "ModelRefusedError"}


@pytest.mark.sockets
@pytest.mark.parametrize("seed", [*SEEDS[:8], None])
def test_any_bytes_are_an_answer_or_an_error_of_a_model(seed: int | None) -> None:
    """A server that speaks broken HTTP, or hangs up, raises nothing else."""
    chosen = secrets.randbits(32) if seed is None else seed
    print(f"seed {chosen}")  # noqa: T201 - shown where it fails
    maker = Maker(chosen)
    with serve_bytes(maker) as url:
        for number in range(60):
            model = OpenAIModel(url, lambda: None, pool_size=1)
            check_outcome(model, f"seed {chosen}, answer {number}")


@contextmanager
def serve_bytes(maker: Maker) -> Iterator[str]:
    """Run a server that reads a request and answers with the maker's bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        connection.recv(1 << 20)
                        connection.sendall(maker.response())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.mark.parametrize("schema", [None, {"type": "object"}])
def test_a_completion_that_is_not_changed_is_read(
    monkeypatch: pytest.MonkeyPatch, schema: dict[str, object] | None
) -> None:
    """The completion that the changes start from is a good one."""
    body = json.dumps(COMPLETION).encode()
    monkeypatch.setattr(urllib3.PoolManager, "request", lambda *_, **__: Answered(200, {}, body))
    model = OpenAIModel("http://127.0.0.1:9", lambda: None, pool_size=1)
    completion = model.generate(replace(PROMPT, schema=schema), timeout=5)
    assert (completion.text, completion.tokens_out) == ("b", 2)
