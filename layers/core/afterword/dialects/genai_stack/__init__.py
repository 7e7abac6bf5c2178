"""GenAI Stack's text generation API; its chat API is in the module `chats`.

`GET /api/v1/apps`, `GET` and `POST /api/v1/generations`, `GET` and `PATCH
/api/v1/generations/{text_gen_id}`. An app is the flow that the API key is bound to. The service
publishes neither the statuses beyond `pending` nor its errors. Here errors are `{"detail": …}`,
those of FastAPI, with which the service is built.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from heapq import merge
from http import HTTPStatus
from operator import itemgetter
from typing import TYPE_CHECKING, Literal

from afterword import clock
from afterword.errors import (
    AfterwordError,
    InvalidRequestError,
    NotFoundError,
    UnprocessableError,
)
from afterword.files import StoredFile
from afterword.flows.inputs import Input, Kind, declared_inputs
from afterword.generations import GONE, Generation, Status
from afterword.generations.details import GenerationDetail
from afterword.handlers import failures, http, paging
from afterword.handlers.http import STATUSES, KeyPlace, Request, Response, read_bearer_token
from afterword.handlers.paging import Paging
from afterword.models import LENGTH
from afterword.records import dataclass
from afterword.runtime import json_text
from afterword.runtime.json_text import render, render_array
from afterword.runtime.pages import Page
from afterword.tenants import StoredFlow
from afterword.tenants.keys import ApiKey

if TYPE_CHECKING:
    from afterword.dialects.genai_stack.responses import (
        ChatSession,
        ChatTurn,
        FastApiError,
        StackApp,
        TextGenerationRead,
    )
    from afterword.generations.sessions import Session

NAME = "genai_stack"
PATHS: Sequence[str] = ("/api/v1",)
"""The beginnings of the paths that are this API's."""
KEY_PLACES: Sequence[KeyPlace] = (KeyPlace.BEARER, KeyPlace.TOKEN)
PAGE = 100
"""Generations of a page, the maximum too."""
MAX_TITLE = 255
TOO_LARGE = "(too large to be shown)"
_PAGING = Paging(size=PAGE, maximum=PAGE, key=paging.GENERATION_KEY)
_APPS = uuid.UUID("5a9f4f0e-0f0b-4c53-9d4e-3c8f4a1de6b7")
STATUS_NAMES: Mapping[Status, Literal["pending", "processing", "completed", "failed"]] = {
    Status.QUEUED: "pending",
    Status.RUNNING: "processing",
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
    Status.CANCELED: "failed",
}

type Json = dict[str, object]


def read_api_key(request: Request) -> str | None:
    """Return the key of `Authorization: Bearer`; of `?token=` if there is no such header."""
    if "authorization" in request.headers:
        return read_bearer_token(request)
    return request.query.get("token")


def require_app(key: ApiKey) -> str:
    """Return the flow that the key is bound to; raise NotFoundError for a key without one."""
    if key.flow is None:
        raise NotFoundError("No stack app is found for this API key.")
    return key.flow


def parse_text_gen_id(request: Request) -> str:
    """Return the path's generation id like `parse_id`."""
    return parse_id(request, "text_gen_id")


def parse_id(request: Request, name: str) -> str:
    """Return an id of the path in lower case; raise InvalidRequestError for other texts.

    A UUID is 32 hexadecimal digits in either case (RFC 9562, section 4), with four hyphens and
    nothing around them. The standard library reads more forms than this one, which it writes.
    """
    text = request.path[name].lower()
    try:
        if str(uuid.UUID(text)) == text:
            return text
    except ValueError:
        pass
    raise InvalidRequestError(f"{name}: must be a valid UUID.")


def require_access(listed: GenerationDetail, flow: str) -> GenerationDetail:
    """Return a generation of the key's app; raise NotFoundError for another flow's."""
    http.require_access(listed.generation.flow, flow)
    return listed


def parse_page(request: Request) -> tuple[int, str | None]:
    """Return the query's `limit`, and the sort key that the page comes after."""
    return _PAGING.parse(request.query)


@dataclass(frozen=True, slots=True)
class Update:
    """A TextGenerationUpdate that has a title."""

    title: str | None


def parse_update(body: bytes) -> Update | None:
    """Parse a TextGenerationUpdate; None without a title.

    Raises InvalidRequestError, or UnprocessableError for a title that does not fit.
    """
    values = json_text.parse_object(body).values
    if "title" not in values:
        return None
    title = values["title"]
    if title is None:
        return Update(None)
    if not isinstance(title, str):
        raise UnprocessableError("title", "must be a string or null.")
    if len(title) > MAX_TITLE:
        raise UnprocessableError(
            "title", f"must be at most {MAX_TITLE} characters, not {len(title)}."
        )
    return Update(title)


def is_chat(flow: StoredFlow) -> bool:
    """Return whether an app is a chat, which has sessions."""
    kind: str | None = json.loads(flow.document).get("type")
    return kind == "chat"


def render_app(
    key: ApiKey,
    flow: StoredFlow,
    generations: Sequence[GenerationDetail],
    sessions: "Sequence[Session]" = (),
) -> Response:
    """Return the app, with its sessions or its text generations, newest first.

    A chat has its sessions, and one more for each generation that is in no session.
    """
    document = json.loads(flow.document)
    chat = is_chat(flow)
    inputs = declared_inputs(flow.document)
    page = render_array(
        paging.fit(
            _render_chats(generations, sessions)
            if chat
            else (_render_within_limit(each, _build_read) for each in generations)
        )
    )
    app: StackApp = {
        "id": str(uuid.uuid5(_APPS, f"{key.tenant}#{flow.id}")),
        "data": {"name": document["name"], "inputs": [_build_field(each) for each in inputs]},
        "form_keys_data": {each.name: _build_field(each) for each in inputs},
        "stack_type": "chat" if chat else "text_generation",
        "chat_sessions": page if chat else render_array([]),
        "text_generations": render_array([]) if chat else page,
    }
    return Response(status=HTTPStatus.OK, body=render(app))


def _render_chats(
    generations: Sequence[GenerationDetail], sessions: "Sequence[Session]"
) -> Iterator[str]:
    """Yield sessions, and generations outside of sessions, as JSON, newest first."""
    shown = {session.id for session in sessions}
    created: list[tuple[str, Callable[[], str]]] = [
        (session.order, partial(render_session, session)) for session in sessions
    ]
    alone: list[tuple[str, Callable[[], str]]] = [
        (each.order, partial(_render_within_limit, each, _build_session))
        for each in generations
        if not _is_message(each) and each.conversation not in shown
    ]
    return (write() for _, write in merge(created, alone, key=itemgetter(0), reverse=True))


def _is_message(listed: GenerationDetail) -> bool:
    """Return whether a generation is a message of a session; only messages continue one here."""
    return listed.generation.dialect == NAME and listed.conversation is not None


def render_session(session: "Session") -> str:
    """Return a session as JSON; of a long one the oldest turns are left out."""
    turns = [turn for each in session.questions for turn in _build_turns(each)]
    fitting = len(paging.fit((render(turn) for turn in reversed(turns)), least=0))
    body: ChatSession = {
        "id": session.id,
        "title": session.title,
        "data": turns[len(turns) - fitting :],
    }
    return render(body)


def render_text_generation(listed: GenerationDetail) -> Response:
    """Return a TextGenerationRead."""
    return Response(status=HTTPStatus.OK, body=_render_within_limit(listed, _build_read))


def render_text_generations(page: Page[GenerationDetail], limit: int) -> Response:
    """Return a list of TextGenerationRead, with a link to the next page if there is one."""
    texts = paging.fit(_render_within_limit(each, _build_read) for each in page.items)
    whole = len(texts) == len(page.items)
    after = page.after if whole else page.items[len(texts) - 1].order
    next_path = _PAGING.next_path("/api/v1/generations", {"limit": limit}, after)
    headers = paging.link_headers(next_path)
    return Response(status=HTTPStatus.OK, body=render_array(texts), headers=headers)


def render_error(error: AfterwordError) -> Response:
    """Return an error as FastAPI does: `{"detail": "…"}`, or a problem for each field."""
    body: FastApiError = {"detail": str(error)}
    if isinstance(error, UnprocessableError):
        body = {
            "detail": [
                {"loc": ["body", field], "msg": message, "type": "value_error"}
                for field, message in error.fields
            ]
        }
    return Response(status=STATUSES[type(error)], body=render(body))


def _render_within_limit(
    listed: GenerationDetail,
    build: "Callable[[GenerationDetail], ChatSession | TextGenerationRead]",
) -> str:
    """Return a generation as JSON, without its inputs if no response could have them."""
    text = render(build(listed))
    if paging.response_bytes(text) <= paging.MAX_RESPONSE_BYTES:
        return text
    return render(build(replace(listed, inputs=dict.fromkeys(listed.inputs, TOO_LARGE))))


def _build_field(each: Input) -> Json:
    """Return an input as a field of a form, with those limits that are set."""
    limits = {
        "default": each.default,
        "options": list(each.options) or None,
        "max_length": each.max_length,
        "min": each.least,
        "max": each.most,
        "max_bytes": each.max_bytes if each.kind is Kind.FILE else None,
    }
    return {
        "name": each.name,
        "label": each.label,
        "kind": each.kind,
        "required": each.required,
        "multiple": each.multiple,
        **{name: limit for name, limit in limits.items() if limit is not None},
    }


def _build_read(listed: GenerationDetail) -> "TextGenerationRead":
    generation = listed.generation
    completion = generation.completion
    return {
        "id": generation.id,
        "title": generation.title,
        "inputs": _build_inputs(listed),
        "outputs": {} if completion is None else {"text": completion.text},
        "logs": _write_logs(listed),
        "meta_data": _build_meta_data(listed),
        "status": STATUS_NAMES[choose_status(generation)],
    }


def choose_status(generation: Generation) -> Status:
    """Return the status to show: one whose text is gone has failed, for its reader."""
    return Status.FAILED if generation.has_lost_result else generation.status


def _build_inputs(listed: GenerationDetail) -> Json:
    """Return the inputs as sent; a file by its name, type and size."""
    inputs: Json = dict(listed.inputs)
    by_input: dict[str, list[Json]] = {}
    for file in listed.files:
        by_input.setdefault(file.input, []).append(_build_file(file))
    return inputs | {
        name: files if len(files) > 1 else files[0] for name, files in by_input.items()
    }


def _build_file(file: StoredFile) -> Json:
    return {"name": file.name, "type": file.media_type, "size": file.size}


def _build_meta_data(listed: GenerationDetail) -> Json:
    generation = listed.generation
    completion = generation.completion
    return {
        "flow": generation.flow,
        "flow_version": generation.flow_version,
        "attempts": generation.attempt,
        "created_at": clock.to_rfc3339(generation.created_at),
        "finished_at": generation.finished_at and clock.to_rfc3339(generation.finished_at),
        "seconds": _count_seconds(listed),
        "model": completion and completion.model,
        "tokens_in": generation.tokens_in,
        "tokens_out": generation.tokens_out,
        "stop_reason": completion and completion.stop_reason,
        "reason": failures.LOST if generation.has_lost_result else generation.reason,
        "message": GONE if generation.has_lost_result else generation.message,
        "gone": generation.gone,
    }


def _write_logs(listed: GenerationDetail) -> str:
    """Return a line for each event of the generation."""
    generation = listed.generation
    lines = [f"{clock.to_rfc3339(generation.created_at)} submitted to {generation.flow}"]
    if generation.status is Status.RUNNING:
        if generation.setback is not None:
            before = generation.attempt - 1
            lines.append(f"attempt {before} was handed back{_write_cause(generation)}")
        lines.append(f"attempt {generation.attempt} is running")
    elif generation.status is Status.QUEUED and generation.attempt:
        next_at = generation.next_at
        due = "is queued" if next_at is None else f"is due {clock.to_rfc3339(next_at)}"
        lines.append(
            f"attempt {generation.attempt} was handed back{_write_cause(generation)},"
            f" the next one {due}"
        )
    if generation.finished_at is not None:
        how = f"{generation.status} in {_count_seconds(listed)} s, attempt {generation.attempt}"
        lines.append(f"{clock.to_rfc3339(generation.finished_at)} {how}")
    if generation.reason is not None:
        lines.append(f"{generation.reason}: {generation.message}")
    if generation.has_lost_result:
        lines.append(f"{failures.LOST}: {GONE}")
    if generation.completion is not None and generation.completion.stop_reason == LENGTH:
        lines.append("the text was cut at max_tokens")
    if generation.completion is not None and generation.completion.model is not None:
        lines.append(
            f"{generation.completion.model}: {generation.tokens_in} tokens in,"
            f" {generation.tokens_out} out"
        )
    return "\n".join(lines)


def _write_cause(generation: Generation) -> str:
    """Return the last setback for a line of the log; empty without one."""
    setback = generation.setback
    if setback is None:
        return ""
    return f": {setback.reason}" + ("" if setback.code is None else f" ({setback.code})")


def _build_session(listed: GenerationDetail) -> "ChatSession":
    """Return a generation as a session of its own."""
    generation = listed.generation
    return {"id": generation.id, "title": generation.title, "data": _build_turns(listed)}


def _build_turns(listed: GenerationDetail) -> "list[ChatTurn]":
    """Return the question's turn, and the answer's once completed."""
    generation = listed.generation
    inputs = [text for _, text in _join_inputs(listed)]
    key = next((name for name, _ in _join_inputs(listed)), "")
    files = [_build_file(file) for file in listed.files]
    turns = [build_turn("\n".join(inputs), key, files, is_bot=False)]
    if generation.completion is not None:
        turns.append(build_turn(generation.completion.text, key, [], is_bot=True))
    elif generation.has_lost_result:
        turns.append(build_turn(GONE, key, [], is_bot=True))
    return turns


def _join_inputs(listed: GenerationDetail) -> list[tuple[str, str]]:
    """Return the inputs by name, each as one text."""
    return [
        (name, value if isinstance(value, str) else "\n".join(value))
        for name, value in listed.inputs.items()
    ]


def build_turn(message: str, key: str, files: list[Json], *, is_bot: bool) -> "ChatTurn":
    """Return a message of a chat; `key` is the input of its question."""
    return {
        "is_bot": is_bot,
        "message": message,
        "chatKey": key,
        "type": "text",
        "intermediate_steps": "",
        "files": files,
    }


def _count_seconds(listed: GenerationDetail) -> float | None:
    finished_at = listed.generation.finished_at
    if finished_at is None:
        return None
    return round((finished_at - listed.generation.created_at).total_seconds(), 3)
