"""Batches in the native API: `/v1/batches`, the lines of a batch, and those of its results.

A file of up to MAX_BODY_BYTES is the body of the request. A bigger file goes to the URL of the
response.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING

from afterword import clock
from afterword.batches import (
    MAX_BATCH_DEADLINE,
    MAX_LINES,
    MIN_BATCH_DEADLINE,
    Batch,
    BatchFile,
    State,
    upload_key,
)
from afterword.dialects.native import generations, parse_members, render_response
from afterword.errors import (
    InvalidRequestError,
    NotFoundError,
    UnprocessableError,
    WrongFields,
)
from afterword.generations import GONE
from afterword.handlers import failures, http
from afterword.handlers.json_members import read_whole_number, require_text
from afterword.knowledge import MAX_NAME
from afterword.runtime.json_text import JsonObject, parse_object, render

if TYPE_CHECKING:
    from afterword.dialects.native.responses import batches as responses
    from afterword.generations import Generation, Submission
    from afterword.handlers.http import Request, Response
    from afterword.knowledge.selection import Knowledge
    from afterword.tenants import StoredFlow
    from afterword.tenants.keys import ApiKey
    from afterword.tenants.registry import Registry

LINES_TYPES = frozenset(
    {"application/jsonl", "application/x-jsonlines", "application/ndjson", "application/x-ndjson"}
)
FLOWS = 100
"""The most flows that an invocation keeps."""
POLL_SECONDS = 5
"""The seconds of `Retry-After` while a batch is open."""

type Url = Callable[[str], str]
"""A function of a bucket's key that returns a signed URL."""


def parse_file(request: "Request") -> BatchFile:
    """Return the file of a request, without content for a file that comes later, and its deadline.

    Raises InvalidRequestError, also for more lines than a batch may have, or UnprocessableError.
    """
    deadline = http.read_deadline(request, MIN_BATCH_DEADLINE, MAX_BATCH_DEADLINE)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in LINES_TYPES:
        wrong = WrongFields()
        body = parse_members(request, {"upload", "deadline_seconds"}, wrong)
        upload = body.values.get("upload")
        if upload is not None and upload is not True:
            wrong.note([("upload", "must be true, or left out.")])
        sent = wrong.read(partial(_parse_deadline, body))
        wrong.refuse()
        return BatchFile(deadline=sent or deadline)
    lines = request.body.count(b"\n") + (not request.body.endswith(b"\n"))
    if not request.body or lines > MAX_LINES:
        raise InvalidRequestError(f"The body must have 1 to {MAX_LINES} lines.")
    return BatchFile(content=request.body, deadline=deadline)


def read_batch_id(request: "Request") -> str:
    """Return the path's batch."""
    return request.path["batchId"]


def require_access(batch: Batch, key: "ApiKey") -> Batch:
    """Return a batch; raise NotFoundError if the key is for one flow and did not make the batch."""
    http.require_access(batch.flow, key.flow, "batch")
    return batch


def render_accepted(batch: Batch, file: BatchFile, upload_url: Url) -> "Response":
    """Return an accepted batch; 201 with the URL for its file while the batch waits for one."""
    body = _build_batch(batch)
    headers = {"location": f"/v1/batches/{batch.id}", "retry-after": str(POLL_SECONDS)}
    if file.content is not None or batch.state is not State.WAITING:
        return render_response(HTTPStatus.ACCEPTED, body, headers)
    body["upload_url"] = upload_url(upload_key(batch.tenant, batch.id))
    return render_response(HTTPStatus.CREATED, body, headers)


def render_batch(batch: Batch, download_url: Url) -> "Response":
    """Return a batch; a finished one with the URL of its results."""
    body = _build_batch(batch)
    if batch.state is State.FINISHED:
        body["results_url"] = download_url(batch.results_key)
    headers = {} if batch.state.terminal else {"retry-after": str(POLL_SECONDS)}
    return render_response(HTTPStatus.OK, body, headers)


def _build_batch(batch: Batch) -> "responses.Batch":
    counts, window = batch.counts, batch.window
    return {
        "id": batch.id,
        "status": batch.state,
        "created_at": clock.to_rfc3339(batch.created_at),
        "finished_at": _build_time(batch.finished_at),
        "deadline_at": _build_time(batch.deadline_at),
        "lines": batch.lines,
        "read": batch.read,
        "open": 0 if window is None else len(window.open),
        "ended": counts.ended,
        "window": None if window is None else window.size,
        "lines_per_minute": None if window is None else round(window.rate, 1),
        "expected_end_at": _build_time(batch.estimate_end(clock.now())),
        "counts": {
            "accepted": counts.accepted,
            "bad": counts.bad,
            "succeeded": counts.succeeded,
            "failed": counts.failed,
            "canceled": counts.canceled,
            "missing": counts.missing,
            "unsubmitted": batch.unsubmitted,
        },
        "error": None if batch.reason is None else {"message": batch.reason},
        "results_url": None,
        "links": {"self": f"/v1/batches/{batch.id}"},
    }


def _build_time(moment: datetime | None) -> str | None:
    return None if moment is None else clock.to_rfc3339(moment)


def _parse_deadline(body: JsonObject) -> timedelta | None:
    bounds = (MIN_BATCH_DEADLINE, MAX_BATCH_DEADLINE)
    least, most = (int(bound.total_seconds()) for bound in bounds)
    seconds = read_whole_number(body.values, "deadline_seconds", least, most)
    return None if seconds is None else timedelta(seconds=seconds)


class Lines:
    """The submissions of events and of batches' lines, for one invocation.

    Each flow is read once, until FLOWS are known.
    """

    def __init__(self, registry: "Registry", knowledge: "Callable[[], Knowledge]") -> None:
        self._registry = registry
        self._knowledge = knowledge
        self._flows: dict[tuple[str, str], StoredFlow | NotFoundError] = {}
        self._reading = Lock()  # lines are parsed side by side

    def parse(self, batch: Batch, content: bytes) -> "tuple[Submission, StoredFlow]":
        """Return the submission of a line, and its flow; raise AfterwordError for a bad line."""
        return self._parse(batch.tenant, parse_object(content), batch.flow)

    def parse_event(self, tenant: str, detail: JsonObject) -> "tuple[Submission, StoredFlow]":
        """Return the submission of an event, and its flow; raise AfterwordError for a bad event."""
        return self._parse(tenant, detail, None)

    @staticmethod
    def render_result(line: int, generation_id: str, generation: "Generation | None") -> str:
        """Return the result of a line as one line; None stands for a generation that is gone."""
        if generation is None:
            error = {"reason": "missing", "message": "The generation was deleted, or has expired."}
            return render({"line": line, "id": generation_id, "error": error})
        built = generations.build_generation(generation)
        lost = {"reason": failures.LOST, "message": GONE} if generation.has_lost_result else None
        return render(
            {
                "line": line,
                "id": built["id"],
                "status": built["status"],
                "output": built["output"],
                "error": lost or built["error"],
                "external_ref": built["external_ref"],
            }
        )

    @staticmethod
    def render_bad(line: int, error: str) -> str:
        """Return the result of a bad line as one line."""
        return render({"line": line, "error": {"reason": "bad_line", "message": error}})

    @staticmethod
    def render_unsubmitted(line: int) -> str:
        """Return the result of a line that the batch's deadline has cut off, as one line."""
        message = "The batch's deadline passed before the line was submitted."
        return render({"line": line, "error": {"reason": "batch_deadline", "message": message}})

    def _parse(
        self, tenant: str, body: JsonObject, only: str | None
    ) -> "tuple[Submission, StoredFlow]":
        flow_id = require_text(body.values, "flow", MAX_NAME)
        if only not in {None, flow_id}:
            raise UnprocessableError("flow", "must be the flow of the batch's API key.")
        flow = self._require_flow(tenant, flow_id)
        return generations.parse_submission(body, tenant, flow, self._knowledge), flow

    def _require_flow(self, tenant: str, flow_id: str) -> "StoredFlow":
        with self._reading:
            flow = self._flows.get((tenant, flow_id))
            if flow is None:
                flow = self._read_flow(tenant, flow_id)
        if isinstance(flow, NotFoundError):
            raise UnprocessableError("flow", "must be the id of a flow.") from flow
        return flow

    def _read_flow(self, tenant: str, flow_id: str) -> "StoredFlow | NotFoundError":
        """Read and keep a flow, or that there is none."""
        found: StoredFlow | NotFoundError
        try:
            found = self._registry.get_flow(tenant, flow_id)
        except NotFoundError as error:
            found = error
        if len(self._flows) >= FLOWS:
            self._flows.clear()
        self._flows[tenant, flow_id] = found
        return found
