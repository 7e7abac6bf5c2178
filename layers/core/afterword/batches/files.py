"""The bucket of batches: files read range by range, results written part by part, signed URLs.

This is no part of afterword.runtime.payloads, which every function imports.
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
"""S3's least size of a part, but for the last one."""
URL_SECONDS = timedelta(hours=1)
TYPE = "application/jsonl"

_GONE = {"NoSuchKey", "NoSuchVersion", "PreconditionFailed", "InvalidRange"}
"""S3's codes for a deleted or replaced object, to a role that may list the bucket's versions."""


class BatchFiles:
    """Files and results of batches, in one bucket."""

    def __init__(self, s3: "Callable[[], S3Client]", bucket: str) -> None:
        self._s3 = s3
        self.bucket = bucket

    def read(self, source: "Source", offset: int, length: int) -> bytes:
        """Return that many bytes of a batch's file.

        Raises BatchFailedError when it was deleted, or replaced in a bucket without versions.
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
        if "ContentRange" not in answer:  # a server may ignore the range (RFC 9110, section 14.2)
            while offset:
                offset -= len(body.read(min(offset, PART_BYTES)))
        return body.read(length)

    def put(self, key: str, content: bytes) -> None:
        """Store a whole file."""
        self._s3().put_object(Bucket=self.bucket, Key=key, Body=content, ContentType=TYPE)

    def upload_url(self, key: str) -> str:
        """Return a presigned URL to PUT one file to, valid for URL_SECONDS."""
        return self._s3().generate_presigned_url(
            "put_object",
            Params={"Bucket": self.bucket, "Key": key},
            ExpiresIn=int(URL_SECONDS.total_seconds()),
        )

    def download_url(self, key: str) -> str:
        """Return a presigned URL to GET a file from, valid for URL_SECONDS."""
        return self._s3().generate_presigned_url(
            "get_object",
            Params={"Bucket": self.bucket, "Key": key},
            ExpiresIn=int(URL_SECONDS.total_seconds()),
        )

    def start(self, key: str) -> Upload:
        """Start the multipart upload of a file."""
        answer = self._s3().create_multipart_upload(Bucket=self.bucket, Key=key, ContentType=TYPE)
        return Upload(id=answer["UploadId"])

    def add(self, key: str, upload: Upload, content: bytes) -> Upload | None:
        """Add a part, of PART_BYTES at least unless it is the last; None if the upload is gone."""
        try:
            answer = self._s3().upload_part(
                Bucket=self.bucket,
                Key=key,
                UploadId=upload.id,
                PartNumber=len(upload.parts) + 1,
                Body=content,
            )
        except ClientError as error:
            _raise_unless_gone(error)
            return None
        return Upload(id=upload.id, parts=(*upload.parts, answer["ETag"]))

    def complete(self, key: str, upload: Upload) -> Upload | None:
        """Complete the upload of a file; None if the upload is gone, or was completed before."""
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
            _raise_unless_gone(error)
            return None
        return upload


def _raise_unless_gone(error: ClientError) -> None:
    if error.response["Error"]["Code"] != "NoSuchUpload":
        raise error
