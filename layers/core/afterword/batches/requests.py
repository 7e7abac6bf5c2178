"""Batches that come over HTTP: the file in the request, or put to a URL later."""

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

from afterword import batches, clock, generations
from afterword.batches import Batch, State
from afterword.errors import KeyReusedError

if TYPE_CHECKING:
    from afterword.batches.files import BatchFiles
    from afterword.batches.store import BatchStore


class BatchRequests:
    """Accepts batches. What is put into the bucket then starts them (afterword.batches.intake)."""

    def __init__(self, store: "BatchStore", files: "BatchFiles", *, retention_days: int) -> None:
        self._store = store
        self._files = files
        self._retention = timedelta(days=retention_days)

    def accept(
        self, tenant: str, flow: str | None, content: bytes | None, idempotency_key: str | None
    ) -> Batch:
        """Accept a batch with its file, or, without one, a batch that waits for it.

        `flow` is the one flow that its lines may be for, None for any. With an idempotency key, all
        requests with it are one batch; raises KeyReusedError when it stands for another.
        """
        now = clock.now()
        batch = Batch(
            tenant=tenant,
            id=generations.new_id()
            if idempotency_key is None
            else batches.id_for_request(tenant, idempotency_key),
            created_at=now,
            expires_at=now + self._retention,
            state=State.WAITING,
            flow=flow,
            fingerprint="" if content is None else hashlib.sha256(content).hexdigest(),
        )
        there = self._store.create(batch)
        if (there.fingerprint, there.flow) != (batch.fingerprint, batch.flow):
            raise KeyReusedError("The Idempotency-Key was used before, for another request.")
        if content is not None and there.state is State.WAITING:
            self._files.put(batches.upload_key(tenant, batch.id), content)
        return there
