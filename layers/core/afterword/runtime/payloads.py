"""Payloads: files, and texts too big for a DynamoDB item, in S3.

The only user of S3 beside afterword.batches.files, which reads and writes in parts. An absent
payload is told from one that may not be read by the right to list the bucket: with it S3 answers
NoSuchKey for an absent key, and AccessDenied for a lost right alone.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

from shutil import copyfileobj
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import ClientError

from afterword.errors import GoneError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime
    from pathlib import Path

    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

INLINE_BYTES = 16 * 1024
"""A text up to this many UTF-8 bytes stays in its item (docs/decisions/0004-claim-check.md)."""
PAGE = 1_000
"""The most keys of a page, and of one call that deletes."""
ABSENT = "NoSuchKey"
"""S3's code for an absent key, to a caller with the right to list the bucket."""
TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
"""S3's codes for a key that another write has, or is about to have.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""
_CHUNK = 1024 * 1024


class StoredPayload(NamedTuple):
    """A key of the bucket, and the time of its last write."""

    key: str
    written_at: "datetime"

    @property
    def owner(self) -> tuple[str, str] | None:
        """The tenant and the id of the owner; None for a key in another form than a payload's."""
        match self.key.split("/"):
            case [tenant, owner, name] if tenant and owner and name:
                return tenant, owner
        return None


class PayloadPage(NamedTuple):
    """Payloads in the order of their keys; `more` says that others follow."""

    payloads: "Sequence[StoredPayload]"
    more: bool


class Payloads:
    """Big texts and files of a generation or a content, under `<tenant>/<its id>/<name>`.

    `s3` returns the client, which is built for the first payload: few generations have one.
    """

    def __init__(self, s3: "Callable[[], S3Client]", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def put(self, tenant: str, owner: str, name: str, text: str) -> str:
        """Store a text and return the key that `get` finds it by."""
        return self.put_file(tenant, owner, name, text.encode(), "text/plain; charset=utf-8")

    def put_file(self, tenant: str, owner: str, name: str, content: bytes, media_type: str) -> str:
        """Store a file and return the key that `get_file` finds it by."""
        key = f"{tenant}/{owner}/{name}"
        self._s3().put_object(Bucket=self._bucket, Key=key, Body=content, ContentType=media_type)
        return key

    def get(self, key: str) -> str:
        """Return the text that was stored under the key; raise GoneError for an absent key."""
        return self.get_file(key).decode()

    def find(self, key: str) -> str | None:
        """Return the text that was stored under the key, None for an absent key."""
        try:
            return self.get(key)
        except GoneError:
            return None

    def get_file(self, key: str) -> bytes:
        """Return the file that was stored under the key; raise GoneError for an absent key."""
        return self._open(key).read()

    def upload(self, key: str, file: "Path") -> None:
        """Store a file of any size under a key, or in place of the one there."""
        with file.open("rb") as content:
            self._s3().put_object(Bucket=self._bucket, Key=key, Body=content)

    def put_new(self, key: str, content: bytes) -> bool:
        """Store a small file under a key; False for a key that has one, or is about to have one."""
        try:
            self._s3().put_object(Bucket=self._bucket, Key=key, Body=content, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] not in TAKEN:
                raise
            return False
        return True

    def download(self, key: str, file: "Path") -> None:
        """Write what was stored under the key to a file, by parts; raise GoneError for none."""
        body = self._open(key)
        with file.open("wb") as content:
            copyfileobj(body, content, _CHUNK)

    def _open(self, key: str) -> "StreamingBody":
        try:
            answer = self._s3().get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] != ABSENT:
                raise
            raise GoneError("A text of this record is gone from storage.") from error
        return answer["Body"]

    def list_keys(self, prefix: str) -> list[str]:
        """Return up to PAGE keys with a prefix."""
        answer = self._s3().list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=PAGE)
        return [each["Key"] for each in answer.get("Contents", ())]

    def list_page(self, after: str) -> PayloadPage:
        """Return up to PAGE payloads in the order of their keys, from the one after `after` on."""
        answer = self._s3().list_objects_v2(Bucket=self._bucket, StartAfter=after, MaxKeys=PAGE)
        found = answer.get("Contents", ())
        return PayloadPage(
            [StoredPayload(each["Key"], each["LastModified"]) for each in found],
            more=answer["IsTruncated"],
        )

    def delete(self, keys: "Collection[str]") -> None:
        """Delete the payloads of up to PAGE keys in one call; idempotent.

        Raises UnavailableError for keys that S3 did not delete, which a successful answer reports.
        """
        answer = self._s3().delete_objects(
            Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
        )
        if answer.get("Errors"):
            raise UnavailableError("Storage did not delete all payloads. Try again in a moment.")
