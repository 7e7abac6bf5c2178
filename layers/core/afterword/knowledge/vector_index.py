"""The vectors of passages in an index of Amazon S3 Vectors, one for all tenants of a deployment.

A vector's key is `<tenant>/<content id>/<its number>`, so that all vectors of a content are found
without a list. Its metadata are what a query filters by: model, tenant, folder, tags and digest. A
result outside the selection is left out all the same, since its passages are read from the
selection (afterword.knowledge.meaning).

https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-limitations.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-metadata-filtering.html
"""

import threading
from itertools import batched, count
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from afterword.errors import UnavailableError
from afterword.generations import FailedError, Reason
from afterword.knowledge.meaning import Asked, Hit
from afterword.knowledge.vector_store import Place
from afterword.knowledge.vectors import decode_row, split_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mypy_boto3_s3vectors import S3VectorsClient
    from mypy_boto3_s3vectors.type_defs import PutInputVectorTypeDef

    from afterword.errors import AfterwordError
    from afterword.knowledge import Content
    from afterword.knowledge.ranking import Selection
    from afterword.knowledge.vector_store import Vectors

MAX_PUT, MAX_GET, MAX_RESULTS = 500, 100, 100
"""Vectors of a call that puts or deletes, of one that gets, and of a query."""
MAX_PUT_BYTES = 20 * 1024 * 1024
"""Bytes of a call that puts."""
_NUMBER_BYTES, _VECTOR_BYTES = 24, 4 * 1024  # of JSON: a number, and a key with its metadata
_BUSY = frozenset(
    {
        "InternalServerException",
        "RequestTimeoutException",
        "ServiceUnavailableException",
        "TooManyRequestsException",
    }
)


class VectorIndex:
    """An index of Amazon S3 Vectors, with the distance `cosine` and the model's dimensions.

    `client` returns the client; its creation is not safe in two threads at once. Vectors of another
    model than `model` are never found: the embedder replaces them.
    """

    def __init__(self, client: "Callable[[], S3VectorsClient]", arn: str, model: str) -> None:
        self._new_client = client
        self._creating = threading.Lock()
        self._arn = arn
        self._model = model

    def _client(self) -> "S3VectorsClient":
        with self._creating:
            return self._new_client()

    def find_nearest(self, asked: Asked, limit: int) -> "Sequence[Hit]":
        """Return the nearest passages; see NearestPassages.find_nearest.

        Raises FailedError for an absent index, or one that denies access.
        """
        return self._query(asked, limit, *_filter_selection(asked.selection))

    def measure(
        self, asked: Asked, passages: "Iterable[tuple[str, bytes]]"
    ) -> "Mapping[bytes, float]":
        """Return the cosines of passages; see NearestPassages.measure.

        Calls: one for each MAX_RESULTS of them. The service may leave some of them out, since its
        search is approximate.
        """
        wanted = sorted({key.hex() for _, key in passages})
        return {
            hit.digest: hit.cosine
            for some in batched(wanted, MAX_RESULTS, strict=False)
            for hit in self._query(asked, MAX_RESULTS, {"digest": {"$in": [*some]}})
        }

    def _query(self, asked: Asked, limit: int, *conditions: dict[str, Any]) -> "list[Hit]":
        owned = [{"tenant": {"$eq": asked.selection.tenant}}, {"model": {"$eq": self._model}}]
        try:
            answer = self._client().query_vectors(
                indexArn=self._arn,
                queryVector={"float32": asked.vector},
                topK=min(limit, MAX_RESULTS),
                filter={"$and": [*owned, *conditions]},
                returnMetadata=True,
                returnDistance=True,
            )
        except ClientError as error:
            raise _error(error) from error
        except BotoCoreError as error:
            raise _unreachable(error) from error
        hits = []
        for found in answer["vectors"]:
            match found.get("metadata"):
                case {
                    "tenant": asked.selection.tenant,
                    "model": self._model,
                    "content": str(content),
                    "folder": str(folder),
                    "digest": str(digest),
                }:
                    cosine = 1 - found.get("distance", 1.0)
                    hits.append(Hit(Place(folder, content), bytes.fromhex(digest), cosine))
        return hits

    def put(self, content: "Content", vectors: "Vectors") -> None:
        """Replace the vectors of a content; raise UnavailableError or FailedError."""
        metadata: dict[str, Any] = {
            "tenant": content.tenant,
            "model": vectors.model,
            "content": content.id,
            "folder": content.folder.id,
        }
        if content.tags:
            metadata["tags"] = [label.id for label in content.tags]
        puts: list[PutInputVectorTypeDef] = [
            {
                "key": _key(content.tenant, content.id, number),
                "data": {"float32": decode_row(row)},
                "metadata": {**metadata, "digest": key.hex()},
            }
            for number, (key, row) in enumerate(
                split_rows(vectors.rows, vectors.dimensions).items()
            )
        ]
        most = MAX_PUT_BYTES // (vectors.dimensions * _NUMBER_BYTES + _VECTOR_BYTES)
        try:
            for some in batched(puts, min(MAX_PUT, most), strict=False):
                self._client().put_vectors(indexArn=self._arn, vectors=list(some))
        except ClientError as error:
            raise _error(error) from error
        except BotoCoreError as error:
            raise _unreachable(error) from error
        self._delete(content.tenant, content.id, first=len(puts))

    def remove(self, tenant: str, content_id: str) -> None:
        """Delete the vectors of a content; raise UnavailableError or FailedError."""
        self._delete(tenant, content_id, first=0)

    def _delete(self, tenant: str, content_id: str, first: int) -> None:
        """Delete the vectors of a content from a number on, up to a page without any."""
        try:
            for start in count(first, MAX_GET):
                keys = [_key(tenant, content_id, start + each) for each in range(MAX_GET)]
                found = self._client().get_vectors(indexArn=self._arn, keys=keys)["vectors"]
                if not found:
                    return
                keys = [each["key"] for each in found]
                self._client().delete_vectors(indexArn=self._arn, keys=keys)
        except ClientError as error:
            raise _error(error) from error
        except BotoCoreError as error:
            raise _unreachable(error) from error


def _key(tenant: str, content_id: str, number: int) -> str:
    return f"{tenant}/{content_id}/{number}"


def _filter_selection(selection: "Selection") -> "Iterator[dict[str, Any]]":
    if selection.folders:
        yield {"folder": {"$in": sorted(selection.folders)}}
    if selection.tags:
        yield {"tags": {"$in": sorted(selection.tags)}}


def _error(error: ClientError) -> "AfterwordError":
    code = error.response["Error"]["Code"]
    if code in _BUSY:
        return UnavailableError(f"The vector index answered {code}.")
    return FailedError(
        Reason.KNOWLEDGE_UNAVAILABLE,
        f"The vector index answered {code}: check the stack's parameter VectorIndexArn, and that"
        " the index has as many dimensions as the embedding model.",
    )


def _unreachable(error: BotoCoreError) -> UnavailableError:
    return UnavailableError(f"The vector index cannot be reached ({type(error).__name__}).")
