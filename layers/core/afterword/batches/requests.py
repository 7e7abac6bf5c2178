"""Batches over HTTP: the file comes in the request, or is put to a URL later."""

from dataclasses import replace
from typing import TYPE_CHECKING

from afterword import batches, generations
from afterword.batches import Batch, BatchFile, State
from afterword.errors import KeyReusedError

if TYPE_CHECKING:
    from afterword.batches import BatchTerms
    from afterword.batches.files import BatchFiles
    from afterword.batches.store import BatchStore


class BatchRequests:
    """Accepts batches. The file in the bucket then starts each (afterword.batches.intake)."""

    def __init__(self, store: "BatchStore", files: "BatchFiles", terms: "BatchTerms") -> None:
        self._store = store
        self._files = files
        self._terms = terms

    def accept(
        self,
        tenant: str,
        flow: str | None,
        file: BatchFile,
        idempotency_key: str | None,
    ) -> Batch:
        """Accept a batch with its file; without content, the batch waits for its file.

        `flow` is the one flow that its lines may use, None for any. All requests with one
        idempotency key are one batch; raises KeyReusedError when the key stands for another.
        """
        batch_id = (
            generations.new_id()
            if idempotency_key is None
            else batches.id_for_request(tenant, idempotency_key)
        )
        new = self._terms.new(tenant, batch_id, State.WAITING, file.deadline)
        batch = replace(new, flow=flow, fingerprint=file.fingerprint())
        stored = self._store.create(batch)
        if (stored.fingerprint, stored.flow) != (batch.fingerprint, batch.flow):
            raise KeyReusedError("The Idempotency-Key was used before, for another request.")
        if file.content is not None and stored.state is State.WAITING:
            self._files.put(batches.upload_key(tenant, batch.id), file.content)
        return stored
