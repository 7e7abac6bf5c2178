"""Updating a content through Promptitude's API: the handler with its event, under moto."""

import base64
from collections.abc import Callable

import pytest

from afterword.services import services
from tests.conftest import SetClock, Tenant
from tests.harness import docx_files
from tests.harness.api import invoke
from tests.harness.contents import (
    FIELDS,
    NO_SUCH_CONTENT,
    REFUND,
    Contents,
    Result,
    answer,
    read,
    shown,
    stored,
    text_of,
)
from tests.harness.web_servers import file, serving

LATER = "2026-11-10T10:00:00.000Z"
NEW = "A refund takes three days."


@pytest.fixture
def content_id(contents: Contents, set_clock: SetClock) -> str:
    """Return the id of a content that was created an hour ago."""
    created = contents.created(folder="Terms", tags="shop,money", externalId="terms-1", source="S")
    set_clock.advance(hours=1)
    return str(created["id"])


def expected(content_id: str, **changes: object) -> Result:
    """Return the whole result of an update that changes this."""
    fields: dict[str, object] = {
        "folder": "Terms",
        "tags": ["shop", "money"],
        "externalId": "terms-1",
        "source": "S",
        "updatedAt": LATER,
        **changes,
    }
    return answer(200, "OK", shown(content_id, **fields))


def refusal(field: str, message: str) -> Result:
    """Return the whole result of a field that does not fit."""
    return answer(422, f"{field}: {message}")


def test_the_sample_content_is_updated(contents: Contents, content_id: str) -> None:
    """The fields that are sent are changed, of the content with this external id."""
    result = read(invoke("update_content", contents.event("update_content")))
    assert result == expected(content_id, tags=["shop"], characters=len(NEW))
    assert text_of(content_id) == NEW


@pytest.mark.parametrize(
    ("sent", "changes"),
    [
        ({"name": "Money back"}, {"name": "Money back"}),
        ({"folder": "Other"}, {"folder": "Other"}),
        ({"tags": "new, shop"}, {"tags": ["new", "shop"]}),
        ({"tags": ""}, {"tags": []}),
        ({"tags": []}, {"tags": []}),
        ({"externalId": "terms-2"}, {"externalId": "terms-2"}),
        ({"source": "https://example.com/a"}, {"source": "https://example.com/a"}),
        ({"text": NEW}, {"characters": len(NEW)}),
        ({"name": "A", "folder": "", "source": None}, {"name": "A"}),
        ({}, {"updatedAt": "2026-11-10T09:00:00.000Z"}),
        ({"tags": None, "externalId": ""}, {"updatedAt": "2026-11-10T09:00:00.000Z"}),
    ],
)
def test_each_field_is_changed_alone(
    contents: Contents, content_id: str, sent: dict[str, object], changes: dict[str, object]
) -> None:
    """A sent field is changed; an empty or null one is not, but for the tags."""
    result = contents.update(content_id, sent)
    assert result == expected(content_id, **changes)
    again = contents.update(str(changes.get("externalId", "terms-1")), {})
    assert again == result
    assert text_of(content_id) == sent.get("text", REFUND)


def test_a_content_moves_to_a_folder_by_its_id(contents: Contents, content_id: str) -> None:
    """The id of a folder that is there is that folder, and it counts one content more."""
    other = contents.created(folder="Other")["folder"]
    assert contents.update(content_id, {"folder": other["id"]}) == expected(
        content_id, folder="Other"
    )
    folders = contents.folders()["body"]["results"]["folders"]
    assert [(each["name"], each["contentsCount"]) for each in folders] == [
        ("Other", 2),
        ("Terms", 0),
    ]
    missing = refusal("folder", "must be a name, or the id of an existing folder.")
    assert contents.update(content_id, {"folder": content_id}) == missing


def test_a_file_gives_a_new_text(contents: Contents, content_id: str) -> None:
    """A file that is sent is read, and the name stays."""
    event = contents.event("update_content", contentId=content_id)
    event["headers"]["content-type"] = "multipart/form-data; boundary=XyZ"
    document = docx_files.docx(docx_files.paragraph(NEW))
    disposition = b'Content-Disposition: form-data; name="file"; filename="a.docx"\r\n\r\n'
    body = b"--XyZ\r\n" + disposition + document + b"\r\n--XyZ--\r\n"
    event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    result = read(invoke("update_content", event))
    assert result == expected(content_id, characters=len(text_of(content_id)))
    assert NEW in text_of(content_id)


def test_an_address_gives_a_new_text_and_source(
    contents: Contents, content_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page at an address is the text, and the address the source; the name stays."""
    with serving(None) as server:
        monkeypatch.setenv("AFTERWORD_FETCH_ALLOWED", f"localhost:{server.port}")
        services.cache_clear()
        server.pages["/new.txt"] = file(NEW.encode())
        url = f"http://localhost:{server.port}/new.txt"
        result = contents.update(content_id, {"fileUrl": url})
    assert result == expected(content_id, source=url, characters=len(NEW))


def test_an_update_is_repeated_without_a_trace(contents: Contents, content_id: str) -> None:
    """The same update twice leaves the same content, with one text in the bucket."""
    first = contents.update(content_id, {"text": NEW})
    before = stored()
    assert contents.update(content_id, {"text": NEW}) == first
    assert stored() == before


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ({"name": " "}, refusal("name", "must not be blank.")),
        ({"text": ""}, refusal("text", "must not be blank.")),
        (
            {"fileUrl": "x"},
            refusal("fileUrl", "must be an address such as https://example.com/terms.pdf."),
        ),
        (
            {"text": "A", "fileUrl": "https://a.example"},
            refusal("text, file, fileUrl", "must not be sent together."),
        ),
        (
            {"externalId": "e" * 256},
            refusal("externalId", "must be a text of up to 255 characters, not blank."),
        ),
        ({"id": "1"}, refusal("id", f"must be one of: {FIELDS}.")),
        ("[]", answer(400, "The body must be a JSON object.")),
    ],
)
def test_a_bad_update_names_what_is_wrong(
    contents: Contents, content_id: str, body: object, result: Result
) -> None:
    """A bad field is refused by its name, and nothing is changed."""
    assert contents.update(content_id, body) == result
    assert contents.update(content_id, {}) == expected(
        content_id, updatedAt="2026-11-10T09:00:00.000Z"
    )


def test_an_external_id_is_anothers(contents: Contents, content_id: str) -> None:
    """An external id that another content has is a conflict."""
    contents.created(externalId="terms-2")
    result = contents.update(content_id, {"externalId": "terms-2"})
    assert result == answer(409, "There is a content with this external id.")


@pytest.mark.parametrize(
    "reference",
    ["terms-9", "019a6f3e-7c00-7000-8000-000000000009", " ", "x" * 10_000, "\x00", "a#b", "../all"],
)
def test_a_content_that_is_not_there(contents: Contents, content_id: str, reference: str) -> None:
    """An unknown id is not found, whatever it looks like and whatever is sent."""
    assert content_id
    assert contents.update(reference, "no form at all") == NO_SUCH_CONTENT


def test_another_tenants_content_looks_the_same(
    contents: Contents,
    contents_of: Callable[[Tenant], Contents],
    other_tenant: Tenant,
    content_id: str,
) -> None:
    """A foreign id, and a foreign external id, answer as an absent one, and change nothing."""
    theirs = contents_of(other_tenant)
    assert theirs.update(content_id, {"name": "Mine"}) == NO_SUCH_CONTENT
    assert theirs.update("terms-1", {"name": "Mine"}) == NO_SUCH_CONTENT
    assert contents.update(content_id, {})["body"]["results"]["name"] == "Refunds"


@pytest.mark.parametrize("external_id", ["Règle n° 7", "a#b%20c", "100%"])
def test_an_external_id_may_be_any_text(contents: Contents, external_id: str) -> None:
    """The path's id is taken as API Gateway has decoded it, and not decoded again."""
    content_id = contents.created(externalId=external_id)["id"]
    assert contents.update(external_id, {})["body"]["results"]["id"] == content_id
