"""GenAI Stack's text generation API.

`GET /api/v1/apps`, `GET` and `POST /api/v1/generations`, `GET` and `PATCH
/api/v1/generations/{text_gen_id}`. An app is the flow that the API key is bound to. Not public, and
so ours: statuses beyond `pending`, and errors, `{"detail": …}`, which are those of FastAPI, with
which the service is built.
"""

import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from urllib.parse import urlencode

from afterword.errors import (
    AfterwordError,
    InvalidRequestError,
    NotFoundError,
    UnprocessableError,
)
from afterword.files import StoredFile
from afterword.flows.inputs import Input, Kind, declared_inputs
from afterword.generations import Status
from afterword.generations.details import GenerationDetail
from afterword.handlers import paging
from afterword.handlers.http import STATUSES, Request, Response, bearer_token
from afterword.runtime import json_text
from afterword.runtime.pages import Page
from afterword.tenants.keys import ApiKey
from afterword.tenants.registry import StoredFlow

NAME = "genai_stack"
PAGE = 100
"""Generations of a page, and the most that may be asked for."""
MAX_RESPONSE_BYTES = 6_000_000
"""A function's response, with the body as a JSON string in it, may have 6 MB."""
PAGE_BYTES = 5_000_000
"""A page ends before it is longer."""
MAX_TITLE = 255
TOO_LARGE = "(too large to be shown)"
_APPS = uuid.UUID("5a9f4f0e-0f0b-4c53-9d4e-3c8f4a1de6b7")
_STATUSES: Mapping[Status, str] = {
    Status.QUEUED: "pending",
    Status.RUNNING: "processing",
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
    Status.CANCELED: "failed",
}

type Json = dict[str, object]


def api_key(request: Request) -> str | None:
    """Return the key of `Authorization: Bearer`; of `?token=` if there is no such header."""
    if "authorization" in request.headers:
        return bearer_token(request)
    return request.query.get("token")


def app_flow(key: ApiKey) -> str:
    """Return the flow that the key is bound to; raise NotFoundError if it is for none."""
    if key.flow is None:
        raise NotFoundError("No stack app is found for this API key.")
    return key.flow


def text_gen_id(request: Request) -> str:
    """Return the path's generation id in lower case; raise InvalidRequestError if it is no UUID.

    A UUID is 32 hexadecimal digits in either case (RFC 9562, section 4), with the four hyphens and
    nothing around them: of what the standard library reads, only what it writes.
    """
    text = request.path["text_gen_id"].lower()
    try:
        if str(uuid.UUID(text)) == text:
            return text
    except ValueError:
        pass
    raise InvalidRequestError("text_gen_id: it is not a valid UUID.")


def owned(listed: GenerationDetail, flow: str) -> GenerationDetail:
    """Return a generation of the key's app; raise NotFoundError if it is another flow's."""
    if listed.generation.flow != flow:
        raise NotFoundError("There is no such generation.")
    return listed


def page_asked_for(request: Request) -> tuple[int, str | None]:
    """Return the query's `limit` (1 to PAGE) and where the page begins; raise for others."""
    limit = request.query.get("limit", str(PAGE))
    if not re.fullmatch(r"[0-9]{1,3}", limit) or not 1 <= int(limit) <= PAGE:
        raise InvalidRequestError(f"limit: it is not a whole number from 1 to {PAGE}.")
    after = request.query.get("after")
    return int(limit), None if after is None else paging.decode(after, "after", paging.GENERATION)


@dataclass(frozen=True, slots=True)
class Update:
    """A TextGenerationUpdate that has a title."""

    title: str | None


def update(body: bytes) -> Update | None:
    """Return what a TextGenerationUpdate changes, None if nothing.

    Raises InvalidRequestError, or UnprocessableError for a title that is none.
    """
    values = json_text.parse_object(body).values
    if "title" not in values:
        return None
    title = values["title"]
    if title is None:
        return Update(None)
    if not isinstance(title, str):
        raise UnprocessableError("title", "it must be a string or null.")
    if len(title) > MAX_TITLE:
        raise UnprocessableError(
            "title", f"it has {len(title)} characters; at most {MAX_TITLE} are taken."
        )
    return Update(title)


def app(key: ApiKey, flow: StoredFlow, generations: Sequence[GenerationDetail]) -> Response:
    """Return the app, with its sessions or its text generations, newest first."""
    document = json.loads(flow.document)
    chat = document.get("type") == "chat"
    inputs = declared_inputs(flow.document)
    shown = _fitting(generations, _session if chat else _read)
    texts = {
        "id": _json(str(uuid.uuid5(_APPS, f"{key.tenant}#{flow.id}"))),
        "data": _json({"name": document["name"], "inputs": [_field(each) for each in inputs]}),
        "form_keys_data": _json({each.name: _field(each) for each in inputs}),
        "stack_type": _json("chat" if chat else "text_generation"),
        "chat_sessions": _array(shown if chat else []),
        "text_generations": _array([] if chat else shown),
    }
    return Response(status=HTTPStatus.OK, body=json_text.render_object(texts))


def text_generation(listed: GenerationDetail) -> Response:
    """Return a TextGenerationRead."""
    text, _ = _rendered(listed, _read)
    return Response(status=HTTPStatus.OK, body=text)


def text_generations(page: Page[GenerationDetail], limit: int) -> Response:
    """Return a list of TextGenerationRead, with a link to the next page if there is one."""
    shown = _fitting(page.items, _read)
    after = page.after if len(shown) == len(page.items) else page.items[len(shown) - 1].order
    headers = {}
    if after is not None:
        query = urlencode({"limit": limit, "after": paging.encode(after)})
        headers["link"] = f'</api/v1/generations?{query}>; rel="next"'
    return Response(status=HTTPStatus.OK, body=_array(shown), headers=headers)


def error(error: AfterwordError) -> Response:
    """Return an error as FastAPI does: `{"detail": "…"}`, or what is wrong with which field."""
    detail: object = str(error)
    if isinstance(error, UnprocessableError):
        message = str(error).removeprefix(f"{error.field}: ")
        detail = [{"loc": ["body", error.field], "msg": message, "type": "value_error"}]
    return Response(status=STATUSES[type(error)], body=_json({"detail": detail}))


def _json(value: object) -> str:
    """Return JSON with its characters as they are: escaped, they may take three times the room."""
    return json.dumps(value, ensure_ascii=False)


def _size(text: str) -> int:
    """Return the bytes that a text has in a function's response."""
    return len(_json(text).encode())


def _rendered(
    listed: GenerationDetail, render: Callable[[GenerationDetail], Json]
) -> tuple[str, int]:
    """Return a generation as JSON, and the bytes that it has in a function's response.

    Without its inputs where no response could have them.
    """
    text = _json(render(listed))
    size = _size(text)
    if size > MAX_RESPONSE_BYTES:
        text = _json(render(replace(listed, inputs=dict.fromkeys(listed.inputs, TOO_LARGE))))
        size = _size(text)
    return text, size


def _fitting(
    generations: Sequence[GenerationDetail], render: Callable[[GenerationDetail], Json]
) -> list[str]:
    """Render the first ones that fit into PAGE_BYTES; the first one in any case."""
    shown: list[str] = []
    size = 0
    for listed in generations:
        text, bytes_more = _rendered(listed, render)
        size += bytes_more
        if shown and size > PAGE_BYTES:
            break
        shown.append(text)
    return shown


def _array(texts: Sequence[str]) -> str:
    return f"[{', '.join(texts)}]"


def _field(each: Input) -> Json:
    """Return how a form shows an input: its limits only where it has some."""
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


def _read(listed: GenerationDetail) -> Json:
    generation = listed.generation
    completion = generation.completion
    return {
        "id": generation.id,
        "title": generation.title,
        "inputs": _inputs(listed),
        "outputs": {} if completion is None else {"text": completion.text},
        "logs": _logs(listed),
        "meta_data": _meta_data(listed),
        "status": _STATUSES[generation.status],
    }


def _inputs(listed: GenerationDetail) -> Json:
    """Return the inputs as they were sent; of a file, what is known of it."""
    inputs: Json = dict(listed.inputs)
    by_input: dict[str, list[Json]] = {}
    for file in listed.files:
        by_input.setdefault(file.input, []).append(_file(file))
    return inputs | {
        name: files if len(files) > 1 else files[0] for name, files in by_input.items()
    }


def _file(file: StoredFile) -> Json:
    return {"name": file.name, "type": file.media_type, "size": file.size}


def _meta_data(listed: GenerationDetail) -> Json:
    generation = listed.generation
    completion = generation.completion
    return {
        "flow": generation.flow,
        "flow_version": generation.flow_version,
        "attempts": generation.attempt,
        "created_at": _time(generation.created_at),
        "finished_at": generation.finished_at and _time(generation.finished_at),
        "seconds": _seconds(listed),
        "model": completion and completion.model,
        "tokens_in": generation.tokens_in,
        "tokens_out": generation.tokens_out,
        "stop_reason": completion and completion.stop_reason,
        "reason": generation.reason,
        "message": generation.message,
    }


def _logs(listed: GenerationDetail) -> str:
    """Return what has happened, a line for each event."""
    generation = listed.generation
    lines = [f"{_time(generation.created_at)} submitted to {generation.flow}"]
    if generation.status is Status.RUNNING:
        lines.append(f"attempt {generation.attempt} is running")
    elif generation.status is Status.QUEUED and generation.attempt:
        lines.append(f"attempt {generation.attempt} was handed back, the next one is queued")
    if generation.finished_at is not None:
        how = f"{generation.status} in {_seconds(listed)} s, attempt {generation.attempt}"
        lines.append(f"{_time(generation.finished_at)} {how}")
    if generation.reason is not None:
        lines.append(f"{generation.reason}: {generation.message}")
    if generation.completion is not None and generation.completion.model is not None:
        lines.append(
            f"{generation.completion.model}: {generation.tokens_in} tokens in,"
            f" {generation.tokens_out} out"
        )
    return "\n".join(lines)


def _session(listed: GenerationDetail) -> Json:
    """Return a chat session: what was asked, and the answer once it is there."""
    generation = listed.generation
    inputs = [text for _, text in _texts(listed)]
    key = next((name for name, _ in _texts(listed)), "")
    files = [_file(file) for file in listed.files]
    turns = [_turn("\n".join(inputs), key, files, is_bot=False)]
    if generation.completion is not None:
        turns.append(_turn(generation.completion.text, key, [], is_bot=True))
    return {"id": generation.id, "title": generation.title, "data": turns}


def _texts(listed: GenerationDetail) -> list[tuple[str, str]]:
    return [
        (name, value if isinstance(value, str) else "\n".join(value))
        for name, value in listed.inputs.items()
    ]


def _turn(message: str, key: str, files: list[Json], *, is_bot: bool) -> Json:
    return {
        "is_bot": is_bot,
        "message": message,
        "chatKey": key,
        "type": "text",
        "intermediate_steps": "",
        "files": files,
    }


def _seconds(listed: GenerationDetail) -> float | None:
    finished_at = listed.generation.finished_at
    if finished_at is None:
        return None
    return round((finished_at - listed.generation.created_at).total_seconds(), 3)


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
