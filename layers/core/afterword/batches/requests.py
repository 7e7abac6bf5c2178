"""Batches over HTTP: the file comes in the request, or is put to a URL later."""

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
    """Accepts batches. The file in the bucket then starts each (afterword.batches.intake)."""

    def __init__(self, store: "BatchStore", files: "BatchFiles", *, retention_days: int) -> None:
        self._store = store
        self._files = files
        self._retention = timedelta(days=retention_days)

    def accept(
        self, tenant: str, flow: str | None, content: bytes | None, idempotency_key: str | None
    ) -> Batch:
        """Accept a batch with its file; without `content`, the batch waits for its file.

        `flow` is the one flow that its lines may use, None for any. All requests with one
        idempotency key are one batch; raises KeyReusedError when the key stands for another.
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
        stored = self._store.create(batch)
        if (stored.fingerprint, stored.flow) != (batch.fingerprint, batch.flow):
            raise KeyReusedError("The Idempotency-Key was used before, for another request.")
        if content is not None and stored.state is State.WAITING:
            self._files.put(batches.upload_key(tenant, batch.id), content)
        return stored
