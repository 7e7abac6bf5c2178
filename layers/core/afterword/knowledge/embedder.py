"""The embedder: makes the vectors of contents that were added or changed.

A message names a content, and the content is the truth. At the message's receipt the content may be
changed again, embedded already, or gone. A row of an earlier revision is kept for each passage that
is the same, so that a change costs what has changed, and a large content is embedded in several
invocations.
"""

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword.errors import UnavailableError
from afterword.generations import FailedError, Reason
from afterword.knowledge import Embedded
from afterword.knowledge.passages import cut_passages
from afterword.knowledge.vector_store import Vectors
from afterword.knowledge.vectors import DIGEST_BYTES, digest, embedded_texts, encode_row, split_rows
from afterword.models import (
    ModelError,
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
)
from afterword.models.embeddings import Purpose, embed_texts
from afterword.runtime import telemetry
from afterword.runtime.queue import MAX_DELAY_SECONDS, MessageOutcome, ids_to_redeliver

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from afterword.knowledge import Content
    from afterword.knowledge.store import ContentStore
    from afterword.knowledge.vector_index import VectorIndex
    from afterword.knowledge.vector_store import VectorStore
    from afterword.models.embeddings import EmbeddingModel
    from afterword.runtime.deadline import Deadline
    from afterword.runtime.queue import Message, Queue

CALL_SECONDS = 60.0
"""The time that a call of the model may take."""
LEAST_SECONDS = 20.0
"""The time before the deadline in which no further call of the model begins."""
GRACE_SECONDS = 10.0
"""The part of this time that the last call may take."""
FIRST_WAIT, LONGEST_WAIT = 15, 3_600
"""Seconds before the second try of a content, at most; twice as many before each next one."""


class Embedder:
    """Embeds contents; `index` has their vectors as well, None without one.

    A content that cannot be embedded is tried again after a backoff, until its message has been
    received as often as its queue allows; then it is a dead letter.
    """

    def __init__(
        self,
        contents: "ContentStore",
        vectors: "VectorStore",
        model: "EmbeddingModel",
        queue: "Queue",
        index: "VectorIndex | None" = None,
    ) -> None:
        self._contents = contents
        self._vectors = vectors
        self._model = model
        self._queue = queue
        self._index = index

    def run_batch(self, messages: "Sequence[Message]", deadline: "Deadline") -> list[str]:
        """Embed the contents of messages; return the ids of the messages to redeliver.

        A message without time left is sent anew, since waiting for others is no try.
        """
        end = deadline.earlier(LEAST_SECONDS)
        return ids_to_redeliver(
            (message.message_id, self._run(message, end)) for message in messages
        )

    def _run(self, message: "Message", end: "Deadline") -> MessageOutcome:
        with telemetry.logger().append_context_keys(content_id=message.id):
            try:
                # An earlier receipt may have ended between two of its writes.
                self._embed(replace(message, again=message.again or _receipts(message) > 1), end)
            except (FailedError, ModelTimedOutError, ModelUnavailableError) as error:
                telemetry.logger().warning("could not embed a content", extra={"why": str(error)})
                return self._wait(message, getattr(error, "retry_after", None))
            except (BotoCoreError, ClientError, UnavailableError):
                telemetry.logger().exception("could not reach AWS")
                return self._wait(message, None)
            except Exception:  # noqa: BLE001 - one item must not end the batch
                telemetry.logger().exception("failed at a content")
                return self._wait(message, None)
        return MessageOutcome.DONE

    def _wait(self, message: "Message", retry_after: float | None) -> MessageOutcome:
        """Have a message delivered again after a backoff with full jitter."""
        seconds = _backoff(_receipts(message), retry_after)
        try:
            self._queue.change_visibility(message.receipt_handle, seconds)
        except (BotoCoreError, ClientError) as error:  # SQS redelivers after the visibility timeout
            telemetry.logger().warning("could not set a wait", extra={"why": type(error).__name__})
        return MessageOutcome.REDELIVER

    def _send(self, message: "Message", seconds: int = 0) -> None:
        body = {"tenant": message.tenant, "id": message.id, "again": message.again}
        self._queue.send_later(message.tenant, body, min(seconds, MAX_DELAY_SECONDS))

    def _embed(self, message: "Message", end: "Deadline") -> None:
        """Embed a content, and send its message anew if not all is done.

        The vectors that are there are stored, also before a model's error is raised. A try that
        made vectors is none that failed: the next one begins with a new message.
        """
        if end.passed:
            self._send(message)
            return
        found = self._contents.read_text(message.tenant, message.id)
        if found is None:
            if self._index is not None:
                self._index.remove(message.tenant, message.id)
            return
        content, text = found
        texts = _embedded_texts(content, text)
        stored = self._vectors.find(content)
        rows = self._find_known(stored, texts)
        made = self._call_model(texts, rows, end)
        newest = True
        if rows or not texts:
            vectors, missing = self._pack(texts, rows), len(texts) - len(rows)
            state = Embedded(vectors.model, vectors=len(vectors), missing=missing)
            if (content.embedded, stored) != (state, vectors) or (
                message.again and made.failure is None
            ):
                newest = self._store(content, vectors, state, made.count)
        if made.failure is not None:
            if not made.count or isinstance(made.failure, _MixedLengthsError):
                raise made.failure
            why = {"why": str(made.failure), "made": made.count}
            telemetry.logger().warning("embedded a part of a content", extra=why)
            wait = _backoff(1, getattr(made.failure, "retry_after", None))
            self._send(replace(message, again=True), wait)
        elif made.refusal is not None and not rows:
            raise made.refusal  # maybe the fault of the model, or of the settings
        elif not (made.finished and newest):
            self._send(replace(message, again=True))

    def _find_known(
        self, stored: Vectors | None, texts: "Mapping[bytes, str]"
    ) -> dict[bytes, bytes]:
        """Return the stored rows of these texts."""
        if stored is None or stored.model != self._model.name or not stored.is_whole:
            return {}
        known = split_rows(stored.rows, stored.dimensions)
        return {key: known[key] for key in texts if key in known}

    def _call_model(
        self, texts: "Mapping[bytes, str]", rows: dict[bytes, bytes], end: "Deadline"
    ) -> "_Made":
        """Add the missing rows, all of the length of the first new one: others are dropped."""
        made = _Made()
        missing = [key for key in texts if key not in rows]
        while missing and made.failure is None and made.finished:
            some, missing = missing[: self._model.batch], missing[self._model.batch :]
            try:
                embedded = embed_texts(
                    self._model,
                    [texts[key] for key in some],
                    Purpose.PASSAGE,
                    lambda: 0 if end.passed else min(CALL_SECONDS, end.remaining() + GRACE_SECONDS),
                )
            except ModelError as error:
                made.failure = error
                break
            made.refusal = embedded.refusal or made.refusal
            made.failure, made.finished = embedded.failure, embedded.finished
            for key, vector in zip(some, embedded.vectors, strict=True):
                if vector is None:
                    continue
                row = encode_row(key, vector)
                if rows and len(row) != len(next(iter(rows.values()))):
                    if made.count:
                        made.failure = _MixedLengthsError()
                        break
                    missing += rows
                    rows.clear()
                rows[key] = row
                made.count += 1
        return made

    def _pack(self, texts: "Mapping[bytes, str]", rows: "Mapping[bytes, bytes]") -> Vectors:
        first = next(iter(rows.values()), b"")
        return Vectors(
            self._model.name,
            dimensions=max(0, len(first) - DIGEST_BYTES),
            rows=b"".join(rows[key] for key in texts if key in rows),
        )

    def _store(self, content: "Content", vectors: Vectors, state: Embedded, made: int) -> bool:
        """Store the vectors of a content; False after another change of the content.

        A change may have come between the writes of both stores. Then the index has the vectors of
        either revision, until the content is stored again.
        """
        if not self._vectors.save(content, vectors, state.missing):
            return False
        facts = {"vectors": state.vectors, "made": made, "missing": state.missing}
        telemetry.logger().info("embedded a content", extra=facts)
        if self._index is None:
            return True
        self._index.put(content, vectors)
        return self._vectors.is_newest(content)


@dataclass(slots=True)
class _Made:
    """The number of new rows, and why there are no more; see EmbeddedTexts."""

    count: int = 0
    refusal: ModelRefusedError | None = None
    failure: ModelError | None = None
    finished: bool = True


class _MixedLengthsError(ModelRefusedError):
    """Vectors of several lengths, as of two models behind one name."""

    def __init__(self) -> None:
        super().__init__(
            Reason.INVALID_RESPONSE, "The embedding model's vectors have several lengths."
        )


def _receipts(message: "Message") -> int:
    """Return how often a message was received."""
    return int(message.attributes.get("ApproximateReceiveCount", "1"))


def _backoff(tried: int, retry_after: float | None) -> int:
    """Return the seconds before the next try, with full jitter."""
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(tried - 1, 12))
    least = min(LONGEST_WAIT, int(retry_after or 0))
    return max(1, least, random.randint(longest // 2, longest))  # noqa: S311 - spreads load # nosec B311


def _embedded_texts(content: "Content", text: str) -> dict[bytes, str]:
    """Return the texts of a content's passages to embed, by digest."""
    return {
        digest(each): each
        for passage in cut_passages(text)
        for each in embedded_texts(content.name, passage.heading, passage.text)
    }
