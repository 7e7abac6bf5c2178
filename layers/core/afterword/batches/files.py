"""The bucket of batches: files read range by range, results written part by part, signed URLs.

Apart from afterword.runtime.payloads, which every function imports: only the functions of batches
do this.
"""

from datetime import timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from afterword.batches import BatchFailedError, Upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectRequestTypeDef

    from afterword.batches import Source

PART_BYTES = 5 * 1024 * 1024
"""The least that S3 takes as a part, but for the last one."""
URL_SECONDS = timedelta(hours=1)
TYPE = "application/jsonl"

_GONE = {"NoSuchKey", "NoSuchVersion", "PreconditionFailed", "InvalidRange", "AccessDenied"}
"""What S3 says of an object that is not there as it was; the last to who may not list."""


class BatchFiles:
    """Files and results of batches, in one bucket."""

    def __init__(self, s3: "Callable[[], S3Client]", bucket: str) -> None:
        self._s3 = s3
        self.bucket = bucket

    def read(self, source: "Source", offset: int, length: int) -> bytes:
        """Return that many bytes of a file as it was when it became a batch.

        Raises BatchFailedError when it is gone, or was replaced where no versions are kept.
        """
        request: GetObjectRequestTypeDef = {
            "Bucket": self.bucket,
            "Key": source.key,
            "Range": f"bytes={offset}-{offset + length - 1}",
        }
        if source.version is None:
            request["IfMatch"] = source.etag
        else:
            request["VersionId"] = source.version
        try:
            answer = self._s3().get_object(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _GONE:
                raise
            raise BatchFailedError("Its file was deleted or replaced.") from error
        body = answer["Body"]
        if "ContentRange" not in answer:  # a server may send it all (RFC 9110, section 14.2)
            while offset:
                offset -= len(body.read(min(offset, PART_BYTES)))
        return body.read(length)

    def put(self, key: str, content: bytes) -> None:
        """Store a whole file."""
        self._s3().put_object(Bucket=self.bucket, Key=key, Body=content, ContentType=TYPE)

    def upload_url(self, key: str) -> str:
        """Return a URL that one file can be PUT to, without a key, as long as URL_LASTS."""
        return self._s3().generate_presigned_url(
            "put_object",
            Params={"Bucket": self.bucket, "Key": key},
            ExpiresIn=int(URL_SECONDS.total_seconds()),
        )

    def download_url(self, key: str) -> str:
        """Return a URL that a file can be got from, without a key, as long as URL_LASTS."""
        return self._s3().generate_presigned_url(
            "get_object",
            Params={"Bucket": self.bucket, "Key": key},
            ExpiresIn=int(URL_SECONDS.total_seconds()),
        )

    def start(self, key: str) -> Upload:
        """Begin to write a file in parts."""
        answer = self._s3().create_multipart_upload(Bucket=self.bucket, Key=key, ContentType=TYPE)
        return Upload(id=answer["UploadId"])

    def add(self, key: str, upload: Upload, content: bytes) -> Upload | None:
        """Add a part, of PART_BYTES at least unless it is the last; None if S3 has dropped them."""
        try:
            answer = self._s3().upload_part(
                Bucket=self.bucket,
                Key=key,
                UploadId=upload.id,
                PartNumber=len(upload.parts) + 1,
                Body=content,
            )
        except ClientError as error:
            _raise_unless_dropped(error)
            return None
        return Upload(id=upload.id, parts=(*upload.parts, answer["ETag"]))

    def complete(self, key: str, upload: Upload) -> Upload | None:
        """Make a file of its parts; None if S3 has dropped them, or did this before."""
        parts = enumerate(upload.parts, start=1)
        try:
            self._s3().complete_multipart_upload(
                Bucket=self.bucket,
                Key=key,
                UploadId=upload.id,
                MultipartUpload={
                    "Parts": [{"PartNumber": number, "ETag": etag} for number, etag in parts]
                },
            )
        except ClientError as error:
            _raise_unless_dropped(error)
            return None
        return upload


def _raise_unless_dropped(error: ClientError) -> None:
    if error.response["Error"]["Code"] != "NoSuchUpload":
        raise error
