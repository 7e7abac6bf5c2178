"""Batches in the native API: `/v1/batches`, the lines of a batch, and those of its results.

A file of up to MAX_BODY_BYTES is the body of the request; a bigger one is put to the URL that comes
back.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING

from afterword.batches import MAX_LINES, Batch, State, upload_key
from afterword.dialects.native import answer, generations, required_text, sent
from afterword.errors import InvalidRequestError, NotFoundError, UnprocessableError
from afterword.knowledge import MAX_NAME
from afterword.runtime.json_text import JsonObject, parse_object

if TYPE_CHECKING:
    from afterword.generations import Generation, Submission
    from afterword.handlers.http import Request, Response
    from afterword.knowledge.selection import Knowledge
    from afterword.tenants.keys import ApiKey
    from afterword.tenants.registry import Registry, StoredFlow

LINES_TYPES = frozenset(
    {"application/jsonl", "application/x-jsonlines", "application/ndjson", "application/x-ndjson"}
)
POLL_SECONDS = 5
"""How long a client should wait before it looks again."""
RESULT = ("id", "status", "output", "error", "external_ref")
"""What of a generation its line of the results has."""

type Url = Callable[[str], str]
"""A function of a key of the bucket that returns a URL for whoever has it."""


def content(request: "Request") -> bytes | None:
    """Return the file that a request has, None for one that is put later.

    Raises InvalidRequestError, or UnprocessableError for more lines than a batch may have.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in LINES_TYPES:
        upload = sent(request, {"upload"}).values.get("upload")
        if upload is not None and upload is not True:
            raise UnprocessableError("upload", "it must be true, or left out.")
        return None
    lines = request.body.count(b"\n") + (not request.body.endswith(b"\n"))
    if not request.body or lines > MAX_LINES:
        raise InvalidRequestError(f"The body does not have 1 to {MAX_LINES} lines.")
    return request.body


def batch_id(request: "Request") -> str:
    """Return the path's batch."""
    return request.path["batchId"]


def owned(batch: Batch, key: "ApiKey") -> Batch:
    """Return a batch that the key may see: for a key of one flow, those that such a key made."""
    if key.flow not in {None, batch.flow}:
        raise NotFoundError("There is no such batch.")
    return batch


def accepted(batch: Batch, content: bytes | None, upload_url: Url) -> "Response":
    """Return a batch that was accepted; while it waits for its file, 201 with the URL for it."""
    body = shown(batch)
    headers = {"location": f"/v1/batches/{batch.id}", "retry-after": str(POLL_SECONDS)}
    if content is not None or batch.state is not State.WAITING:
        return answer(HTTPStatus.ACCEPTED, body, headers)
    body["upload_url"] = upload_url(upload_key(batch.tenant, batch.id))
    return answer(HTTPStatus.CREATED, body, headers)


def found(batch: Batch, download_url: Url) -> "Response":
    """Return how a batch is coming along; once it is finished, with a URL for its results."""
    body = shown(batch)
    if batch.state is State.FINISHED:
        body["results_url"] = download_url(batch.results_key)
    headers = {} if batch.state.terminal else {"retry-after": str(POLL_SECONDS)}
    return answer(HTTPStatus.OK, body, headers)


def shown(batch: Batch) -> dict[str, object]:
    """Return a batch as its owner sees it."""
    finished = batch.finished_at
    return {
        "id": batch.id,
        "status": batch.state,
        "created_at": generations.time(batch.created_at),
        "finished_at": None if finished is None else generations.time(finished),
        "lines": batch.lines,
        "read": batch.read,
        "ended": batch.ended,
        "counts": asdict(batch.counts),
        "error": None if batch.reason is None else {"message": batch.reason},
        "results_url": None,
        "links": {"self": f"/v1/batches/{batch.id}"},
    }


class Lines:
    """What events, and the lines of batches, ask for; flows are read once while it lives."""

    def __init__(self, registry: "Registry", knowledge: "Callable[[], Knowledge]") -> None:
        self._registry = registry
        self._knowledge = knowledge
        self._flows: dict[tuple[str, str], StoredFlow | NotFoundError] = {}

    def parse(self, batch: Batch, content: bytes) -> "tuple[Submission, StoredFlow]":
        """Return what a line asks for, and of which flow; an AfterwordError says why it is bad."""
        return self._asked(batch.tenant, parse_object(content), batch.flow)

    def requested(self, tenant: str, detail: JsonObject) -> "tuple[Submission, StoredFlow]":
        """Return what an event asks for, and of which flow; an AfterwordError says why not."""
        return self._asked(tenant, detail, None)

    @staticmethod
    def result(line: int, generation_id: str, generation: "Generation | None") -> str:
        """Return the result of a line as one line; None is one that is not there any more."""
        if generation is None:
            error = {"reason": "missing", "message": "It was deleted, or is kept no longer."}
            return _row({"line": line, "id": generation_id, "error": error})
        shown = json.loads(generations.shown(generation))
        return _row({"line": line} | {name: shown[name] for name in RESULT})

    @staticmethod
    def bad(line: int, error: str) -> str:
        """Return the result of a bad line as one line."""
        return _row({"line": line, "error": {"reason": "bad_line", "message": error}})

    def _asked(
        self, tenant: str, body: JsonObject, only: str | None
    ) -> "tuple[Submission, StoredFlow]":
        flow_id = required_text(body.values, "flow", MAX_NAME)
        if only not in {None, flow_id}:
            raise UnprocessableError("flow", "the batch's API key is for another flow.")
        flow = self._flow(tenant, flow_id)
        return generations.submission(body, tenant, flow, self._knowledge), flow

    def _flow(self, tenant: str, flow_id: str) -> "StoredFlow":
        known = (tenant, flow_id)
        if known not in self._flows:
            try:
                self._flows[known] = self._registry.get_flow(tenant, flow_id)
            except NotFoundError as error:
                self._flows[known] = error
        flow = self._flows[known]
        if isinstance(flow, NotFoundError):
            raise UnprocessableError("flow", "there is no such flow.") from flow
        return flow


def _row(result: dict[str, object]) -> str:
    return json.dumps(result, ensure_ascii=False)
