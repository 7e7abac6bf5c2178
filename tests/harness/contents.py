"""Promptitude's contents as clients send them, and whole results to expect."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from urllib3 import encode_multipart_formdata

from afterword.knowledge import folder_id, tag_id
from afterword.runtime.clients import clients
from tests.conftest import Event
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.response_headers import NO_STORE

STARTED = "2026-11-10T09:00:00.000Z"
"""START as the API writes it."""
REFUND = "A refund takes five days."
FIELDS = "fileUrl, name, folder, externalId, source, text, file, tags"
type Result = dict[str, Any]
type Value = str | tuple[str, bytes]
"""A field as a client sends it: a text, or a file's name and content."""


def answer(code: int, message: str, results: object = None, **headers: str) -> Result:
    """Return the whole result of an answer, with its body parsed."""
    body: dict[str, object] = {"code": code, "message": message, "error": code >= 400}
    if results is not None:
        body["results"] = results
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {
        "statusCode": code,
        "headers": {"content-type": "application/json", **NO_STORE, **named},
        "body": body,
    }


def read(result: Mapping[str, Any]) -> Result:
    """Return a result with its body parsed."""
    return {**result, "body": json.loads(result["body"])}


NO_SUCH_CONTENT = answer(404, "There is no such content.")
NO_SUCH_FOLDER = answer(404, "There is no such folder.")


@dataclass(frozen=True)
class Contents:
    """A client of the contents with a key; `load` reads a sample event."""

    load: Callable[[str], Event]
    key: str

    def event(self, name: str, **parameters: str) -> Event:
        """Return a sample event with the key in it, and other path parameters."""
        event = self.load(name)
        event["headers"]["authorization"] = f"Bearer {self.key}"
        if parameters:
            event["pathParameters"] |= parameters
        return event

    def create(self, body: object) -> Result:
        """Create a content by JSON."""
        text = body if isinstance(body, str) else json.dumps(body)
        return read(invoke("create_content", self.event("create_content") | {"body": text}))

    def created(self, **fields: object) -> dict[str, Any]:
        """Create a content that is taken, and return what it is shown as."""
        result = self.create({"name": "Refunds", "text": REFUND, **fields})
        assert result["statusCode"] == 200, result
        shown: dict[str, Any] = result["body"]["results"]
        return shown

    def post(self, content_type: str, body: bytes) -> Result:
        """Create a content by a form, as API Gateway passes it on: in base64."""
        event = self.event("create_content")
        event["headers"]["content-type"] = content_type
        event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
        return read(invoke("create_content", event))

    def submit(self, *fields: tuple[str, Value]) -> Result:
        """Create a content by fields: with a file by a multipart form, else an urlencoded one."""
        if any(isinstance(value, tuple) for _, value in fields):
            body, content_type = encode_multipart_formdata(list(fields))
            return self.post(content_type, body)
        return self.post("application/x-www-form-urlencoded", urlencode(fields).encode())

    def update(self, reference: str, body: object) -> Result:
        """Update a content by JSON."""
        event = self.event("update_content", contentId=reference)
        event["body"] = body if isinstance(body, str) else json.dumps(body)
        return read(invoke("update_content", event))

    def remove(self, reference: str) -> Result:
        """Remove a content."""
        return read(invoke("remove_content", self.event("remove_content", contentId=reference)))

    def folders(self) -> Result:
        """List the folders."""
        return read(invoke("list_folders", self.event("list_folders")))

    def list(self, folder: str, **query: str) -> Result:
        """List a page of a folder's contents."""
        event = self.event("list_folder_contents", folderId=folder)
        event |= {"rawQueryString": urlencode(query), "queryStringParameters": query}
        return read(invoke("list_folder_contents", event))

    def list_named(self, folder: str, **query: str) -> Result:
        """List a page of the contents of a folder by its name."""
        event = self.event("list_named_folder_contents", folderName=folder)
        event |= {"rawQueryString": urlencode(query), "queryStringParameters": query}
        return read(invoke("list_named_folder_contents", event))


def shown(content_id: str, **fields: object) -> dict[str, object]:
    """Return how the content of REFUND is shown that was created at START, but for `fields`.

    `folder` and `tags` are names.
    """
    folder = str(fields.pop("folder", "General"))
    tags = fields.pop("tags", [])
    assert isinstance(tags, list)
    return {
        "id": content_id,
        "name": "Refunds",
        "folder": {"id": folder_id("demo", folder), "name": folder},
        "tags": [{"id": tag_id("demo", tag), "name": tag} for tag in tags],
        "externalId": None,
        "source": None,
        "characters": len(REFUND),
        "passages": 1,
        "createdAt": STARTED,
        "updatedAt": STARTED,
        **fields,
    }


def stored() -> tuple[int, int]:
    """Return how many items and objects there are of contents."""
    return (
        clients().dynamodb.scan(TableName=REFERENCES["ContentsTable"])["Count"],
        clients().s3.list_objects_v2(Bucket=REFERENCES["ContentsBucket"])["KeyCount"],
    )


def text_of(content_id: str) -> str:
    """Return a content's text as it is in the bucket."""
    bucket = REFERENCES["ContentsBucket"]
    listed = clients().s3.list_objects_v2(Bucket=bucket, Prefix=f"demo/{content_id}/")
    (key,) = [each["Key"] for each in listed["Contents"] if each["Key"].endswith(".txt")]
    return clients().s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()


def next_page(result: Result) -> dict[str, str] | None:
    """Return the query of a page's link to the next one, None if there is no link."""
    header = result["headers"].get("link")
    if header is None:
        return None
    match = re.fullmatch('<(/v1/content/folders/[^<>]+)>; rel="next"', header)
    assert match is not None, header
    query = parse_qs(urlsplit(match[1]).query, strict_parsing=True)
    return {name: value for name, (value,) in query.items()}
