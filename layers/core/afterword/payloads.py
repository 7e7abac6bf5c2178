"""Texts too big for a DynamoDB item, and files, are kept in S3. The only module that knows S3."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_s3 import S3Client

INLINE_BYTES = 16 * 1024
"""A text up to this many UTF-8 bytes stays in its item (docs/decisions/0004-claim-check.md)."""


class Payloads:
    """Big texts and files of generations, under `<tenant>/<generation id>/<name>` in the bucket.

    `s3` returns the client: few generations need it, so it is not built before the first one.
    """

    def __init__(self, s3: "Callable[[], S3Client]", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def put(self, tenant: str, generation_id: str, name: str, text: str) -> str:
        """Store a text and return the key that `get` finds it by."""
        content, media_type = text.encode(), "text/plain; charset=utf-8"
        return self.put_file(tenant, generation_id, name, content, media_type)

    def put_file(
        self, tenant: str, generation_id: str, name: str, content: bytes, media_type: str
    ) -> str:
        """Store a file and return the key that `get_file` finds it by."""
        key = f"{tenant}/{generation_id}/{name}"
        self._s3().put_object(Bucket=self._bucket, Key=key, Body=content, ContentType=media_type)
        return key

    def get(self, key: str) -> str:
        """Return the text that was stored under the key."""
        return self.get_file(key).decode()

    def get_file(self, key: str) -> bytes:
        """Return the file that was stored under the key."""
        return self._s3().get_object(Bucket=self._bucket, Key=key)["Body"].read()
