"""The embedder: makes the vectors of contents that were added or changed.

A message names a content, and the content is the truth. At the message's receipt the content may be
changed again, embedded already, or gone. A row of an earlier revision is kept for each passage that
is the same, so that a change costs what has changed, and a large content is embedded in several
invocations.
"""

import random
from itertools import batched
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword.errors import UnavailableError
from afterword.generations import FailedError
from afterword.knowledge.passages import cut_passages
from afterword.knowledge.vector_store import Vectors
from afterword.knowledge.vectors import DIGEST_BYTES, digest, embedded_texts, encode_row, split_rows
from afterword.models import ModelRefusedError, ModelTimedOutError, ModelUnavailableError
from afterword.models.embeddings import Purpose, embed_texts
from afterword.runtime import telemetry
from afterword.runtime.queue import MessageOutcome, ids_to_redeliver

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
                finished = not end.passed and self._embed(message.tenant, message.id, end)
                if not finished:
                    self._queue.send(message.tenant, message.id)
            except (FailedError, ModelTimedOutError, ModelUnavailableError) as error:
                telemetry.logger().warning("could not embed a content", extra={"why": str(error)})
                return self._wait(message, getattr(error, "retry_after", None))
            except (BotoCoreError, ClientError, UnavailableError):
                telemetry.logger().exception("could not reach AWS")
                return self._wait(message, None)
        return MessageOutcome.DONE

    def _wait(self, message: "Message", retry_after: float | None) -> MessageOutcome:
        """Have a message delivered again after a backoff with full jitter."""
        tried = int(message.attributes.get("ApproximateReceiveCount", "1"))
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(tried - 1, 12))
        least = min(LONGEST_WAIT, int(retry_after or 0))
        seconds = max(1, least, random.randint(longest // 2, longest))  # noqa: S311 - spreads load # nosec B311
        try:
            self._queue.change_visibility(message.receipt_handle, seconds)
        except (BotoCoreError, ClientError) as error:  # SQS redelivers after the visibility timeout
            telemetry.logger().warning("could not set a wait", extra={"why": type(error).__name__})
        return MessageOutcome.REDELIVER

    def _embed(self, tenant: str, content_id: str, end: "Deadline") -> bool:
        """Embed a content; False if there was no time for all its passages.

        The vectors that are there are stored, also before a model's error is raised.
        """
        found = self._contents.read_text(tenant, content_id)
        if found is None:
            if self._index is not None:
                self._index.remove(tenant, content_id)
            return True
        content, text = found
        texts = _embedded_texts(content, text)
        rows = self._find_known(content, texts)
        known = len(rows)
        try:
            refusal, finished = self._call_model(texts, rows, end)
        finally:
            if rows or not texts:
                self._store(content, texts, rows, known)
        if refusal is not None and not rows:
            raise refusal  # maybe the fault of the model, or of the settings
        return finished

    def _find_known(self, content: "Content", texts: "Mapping[bytes, str]") -> dict[bytes, bytes]:
        """Return the stored rows of these texts."""
        earlier = self._vectors.find(content)
        if earlier is None or earlier.model != self._model.name:
            return {}
        known = split_rows(earlier.rows, earlier.dimensions)
        return {key: known[key] for key in texts if key in known}

    def _call_model(
        self, texts: "Mapping[bytes, str]", rows: dict[bytes, bytes], end: "Deadline"
    ) -> tuple[ModelRefusedError | None, bool]:
        """Add the missing rows; return the last refusal's cause, and whether there was time."""
        refusal: ModelRefusedError | None = None
        missing = [key for key in texts if key not in rows]
        for some in batched(missing, self._model.batch, strict=False):
            if end.passed:
                return refusal, False
            embedded = embed_texts(
                self._model,
                [texts[key] for key in some],
                Purpose.PASSAGE,
                lambda: min(CALL_SECONDS, max(1.0, end.remaining() + LEAST_SECONDS / 2)),
            )
            refusal = embedded.refusal or refusal
            for key, vector in zip(some, embedded.vectors, strict=True):
                if vector is not None:
                    rows[key] = encode_row(key, vector)
        return refusal, True

    def _store(
        self,
        content: "Content",
        texts: "Mapping[bytes, str]",
        rows: "Mapping[bytes, bytes]",
        known: int,
    ) -> None:
        first = next(iter(rows.values()), b"")
        vectors = Vectors(
            self._model.name,
            dimensions=max(0, len(first) - DIGEST_BYTES),
            rows=b"".join(rows[key] for key in texts if key in rows),
        )
        missing = len(texts) - len(rows)
        if self._index is not None:
            self._index.put(content, vectors)
        if self._vectors.save(content, vectors, missing):
            facts = {"vectors": len(rows), "made": len(rows) - known, "missing": missing}
            telemetry.logger().info("embedded a content", extra=facts)


def _embedded_texts(content: "Content", text: str) -> dict[bytes, str]:
    """Return the texts of a content's passages to embed, by digest."""
    return {
        digest(each): each
        for passage in cut_passages(text)
        for each in embedded_texts(content.name, passage.heading, passage.text)
    }
