"""Creating a content through Promptitude's API: the handler with its event, under moto."""

import json
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

from afterword.dialects.promptitude import content_form
from afterword.errors import UnavailableError
from afterword.files import media_types
from afterword.generations import is_id
from afterword.knowledge import Draft, documents, folder_id
from afterword.runtime.outbound import Fetcher
from afterword.services import services
from tests.conftest import SetClock, Tenant
from tests.harness import docx_files, packages, pdf_files
from tests.harness.api import invoke
from tests.harness.contents import (
    FIELDS,
    REFUND,
    Contents,
    Result,
    answer,
    read,
    shown,
    stored,
    text_of,
)
from tests.harness.web_servers import Server, file, redirect, serving

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
TYPES = f"must be a file of one of these types: {media_types.NAMES}; not"
NOT_PUBLIC = "the host was not found on the public internet; send the file itself instead."
NOTHING = (0, 0)


@pytest.fixture
def website(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Return a web server on this machine that files may be fetched from."""
    with serving(None) as server:
        monkeypatch.setenv("AFTERWORD_FETCH_ALLOWED", f" LOCALHOST:{server.port}, other:1")
        services.cache_clear()
        yield server


def id_of(result: Result) -> str:
    """Return the id of a content that is created."""
    assert result["statusCode"] == 200, result
    content_id: str = result["body"]["results"]["id"]
    return content_id


def refusal(field: str, message: str) -> Result:
    """Return the whole result of a field that does not fit."""
    return answer(422, f"{field}: {message}")


def test_the_sample_content_is_created(contents: Contents) -> None:
    """A text with a name, a folder, tags and a source is stored and shown."""
    result = read(invoke("create_content", contents.event("create_content")))
    content_id = id_of(result)
    assert is_id(content_id)
    source = "https://example.com/refunds"
    expected = shown(content_id, folder="Terms", tags=["shop", "money"], source=source)
    assert result == answer(200, "OK", expected)
    assert text_of(content_id) == REFUND
    assert contents.list(folder_id("demo", "Terms"))["body"]["results"]["contents"] == [expected]


FORMS = [
    pytest.param(
        "application/x-www-form-urlencoded",
        b"name=Refunds&folder=Terms&tags=shop%2C+money&externalId=1&text=" + quote(REFUND).encode(),
        id="urlencoded",
    ),
    pytest.param(
        "application/x-www-form-urlencoded",
        b"name=Refunds&folder=Terms&tags=shop&tags=money,shop&externalId=1&text="
        + quote(REFUND).encode(),
        id="tags one by one",
    ),
    pytest.param(
        "multipart/form-data; boundary=XyZ",
        b"".join(
            b'--XyZ\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % field
            for field in (
                (b"text", REFUND.encode()),
                (b"tags", b",shop, ,money,"),
                (b"externalId", b"1"),
                (b"folder", b"Terms"),
                (b"name", b"Refunds"),
                (b"source", b""),
            )
        )
        + b"--XyZ--\r\n",
        id="multipart",
    ),
    pytest.param(
        "application/json",
        json.dumps(
            {
                "name": "Refunds",
                "folder": "Terms",
                "tags": ["shop", "money"],
                "externalId": 1,
                "text": REFUND,
                "source": None,
            }
        ).encode(),
        id="JSON",
    ),
]


@pytest.mark.parametrize(("content_type", "body"), FORMS)
def test_every_form_is_the_same(contents: Contents, content_type: str, body: bytes) -> None:
    """However a client writes the fields, they make the same content."""
    result = contents.post(content_type, body)
    expected = shown(id_of(result), folder="Terms", tags=["shop", "money"], externalId="1")
    assert result == answer(200, "OK", expected)


FILES = [
    pytest.param("a.txt", b"\xef\xbb\xbfA refund\r\ntakes five days.", "A refund\r\n", id="text"),
    pytest.param("a.md", b"# Refunds\n\nIt takes *five* days.", "It takes *five* days.", id="md"),
    pytest.param("a.html", b"<html><p>A &amp; B<script>no</script>", "A & B", id="HTML"),
    pytest.param("a.csv", b"what,days\nrefund,5\nparcel,3\n", "refund,5", id="CSV"),
    pytest.param("a.json", b'{"refund": "five days"}', '"five days"', id="JSON"),
    pytest.param("a.pdf", pdf_files.with_pages("A refund takes five days."), REFUND, id="PDF"),
    pytest.param("a.docx", docx_files.docx(docx_files.paragraph(REFUND)), REFUND, id="DOCX"),
    pytest.param(
        "a.xlsx", packages.xlsx({"S": packages.row(packages.cell(REFUND))}), REFUND, id="XLSX"
    ),
    pytest.param("a.pptx", packages.pptx([packages.shape(REFUND)]), REFUND, id="PPTX"),
    pytest.param("a.odt", packages.odt(f"<text:p>{REFUND}</text:p>"), REFUND, id="ODT"),
    pytest.param("a.epub", packages.epub({"a": f"<p>{REFUND}</p>"}), REFUND, id="EPUB"),
    pytest.param("a.rtf", b"{\\rtf1\\ansi A refund takes \\b five days.\\par}", REFUND, id="RTF"),
    pytest.param("a.eml", b"From: a@b\r\nTo: c@d\r\n\r\n" + REFUND.encode(), REFUND, id="EML"),
    pytest.param(
        "a.mbox", b"From a 10:00\nFrom: a@b\nTo: c@d\n\n" + REFUND.encode(), REFUND, id="MBOX"
    ),
    pytest.param("a.png", b"It is a text, whatever its name.", "It is a text", id="other name"),
]


@pytest.mark.parametrize(("name", "content", "text"), FILES)
def test_files_of_every_type_come_in(
    contents: Contents, name: str, content: bytes, text: str
) -> None:
    """The text of a file is taken by what its bytes are; its name is the content's."""
    result = contents.submit(("file", (name, content)))
    written = text_of(id_of(result))
    assert text in written
    assert "no" not in written.split()
    expected = shown(id_of(result), name=name, characters=len(written))
    assert result == answer(200, "OK", expected)


def test_a_file_may_have_another_name(contents: Contents) -> None:
    """A name goes before the file's own, of which no folder is kept and at most 200 characters."""
    sent = ("file", ("a.txt", b"Hello there."))
    named = contents.submit(("name", " Better \n name "), sent)["body"]["results"]
    own = contents.submit(("file", (f"../x/{'a' * 250}", b"Hello there.")))["body"]["results"]
    assert (named["name"], own["name"]) == ("Better name", "a" * 200)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "must not be an empty file."),
        ("a.txt", b" \n", "The document has no text in it: if it is a scan, send a copy with"),
        ("a.txt", PNG, f"{TYPES} a PNG picture."),
        ("a.zip", b"PK\x03\x04" + bytes(30), f"{TYPES} a zip archive that is damaged or cut off."),
        ("a.bin", bytes(range(256)), f"{TYPES} a binary file of an unknown kind."),
        ("a.pdf", b"%PDF-1.7 and nothing else", "The document is damaged: open it, save it anew"),
        ("a.pdf", pdf_files.encrypted("Hi", "secret"), "The document asks for a password: send"),
        ("a.pdf", pdf_files.with_empty_pages(1), "The document has no text in it: if it is a"),
        ("a.txt", b"x" * 1_000_001, "The document has more than 1,000,000 characters of text:"),
    ],
)
def test_a_file_that_cannot_be_read(
    contents: Contents, name: str, content: bytes, message: str
) -> None:
    """A file without a text is refused with what to do about it, and nothing is stored."""
    result = contents.submit(("file", (name, content)))
    assert result["statusCode"] == 422
    assert result["body"]["message"].startswith(f"file: {message}")
    assert result == answer(422, result["body"]["message"])
    assert stored() == NOTHING


def test_a_file_that_takes_too_long(contents: Contents, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a file ends when its time is over, and the answer says what to send instead."""
    monkeypatch.setattr(content_form, "SECONDS", 0.0)
    result = contents.submit(("file", ("a.pdf", pdf_files.with_pages(REFUND))))
    message = "The document takes too long to read: send a simpler copy, or plain text."
    assert result == refusal("file", message)


def test_no_time_beside_others(contents: Contents, monkeypatch: pytest.MonkeyPatch) -> None:
    """When other documents take all the time, the client is asked to come back."""

    def extract_text(*_: object) -> str:
        raise UnavailableError("Other documents took all the time.")

    monkeypatch.setattr(documents, "extract_text", extract_text)
    result = contents.submit(("file", ("a.txt", b"Hello there.")))
    assert result == answer(503, "Other documents took all the time.", retry_after="1")


def test_a_file_is_fetched_from_where_it_is(contents: Contents, website: Server) -> None:
    """The file at an address is read, its name is the end of the path, the address its source."""
    website.pages["/moved/Our%20terms.md"] = redirect("/terms")
    website.pages["/terms"] = file(b"# Refunds\n\nA refund takes five days.")
    url = f"http://localhost:{website.port}/moved/Our%20terms.md"
    result = contents.create({"fileUrl": url, "folder": "Terms"})
    expected = shown(id_of(result), name="Our terms.md", folder="Terms", source=url, characters=36)
    assert result == answer(200, "OK", expected)
    assert text_of(id_of(result)) == "# Refunds\n\nA refund takes five days."


def test_what_is_sent_goes_before_the_address(contents: Contents, website: Server) -> None:
    """A name and a source are the content's, not those of where its file is; too long is none."""
    website.pages["/"] = file(b"Hello there.")
    website.pages[f"/?{'a' * 2_000}"] = file(b"Hello there.")
    url = f"http://localhost:{website.port}/"
    named = contents.create({"fileUrl": url, "name": "Terms", "source": "The shelf"})
    unnamed = contents.create({"fileUrl": f"{url}?{'a' * 2_000}"})
    results = [each["body"]["results"] for each in (named, unnamed)]
    assert [(each["name"], each["source"]) for each in results] == [
        ("Terms", "The shelf"),
        ("localhost", None),
    ]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("terms.md", "must be an address such as https://example.com/terms.pdf."),
        ("http://example.com/terms.md", "must be an https address on port 443."),
        ("https://127.0.0.1/", NOT_PUBLIC),
        ("https://169.254.169.254/latest/meta-data/iam/", NOT_PUBLIC),
        ("https://[::ffff:169.254.169.254]/", NOT_PUBLIC),
        ("https://a:b@example.com/", "must have no user name and no password."),
    ],
)
def test_an_address_that_is_not_fetched_from(contents: Contents, url: str, message: str) -> None:
    """The inner network is closed, and so is everything but HTTPS; nothing is stored."""
    assert contents.create({"fileUrl": url, "name": "A"}) == refusal("fileUrl", message)
    assert stored() == NOTHING


def test_what_is_fetched_may_be_unreadable(contents: Contents, website: Server) -> None:
    """A page at an address is checked like a file that is sent."""
    website.pages |= {"/a.png": file(PNG), "/b.md": file(b"", 404)}
    url = f"http://localhost:{website.port}"
    assert contents.create({"fileUrl": f"{url}/a.png"}) == refusal(
        "fileUrl", f"{TYPES} a PNG picture."
    )
    message = (
        "the host answered with status 404; make the file public, or send the file itself instead."
    )
    assert contents.create({"fileUrl": f"{url}/b.md"}) == refusal("fileUrl", message)
    assert stored() == NOTHING


def test_at_most_10_mb_are_fetched(
    contents: Contents, website: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file at an address has at most 10 MB, and 20 seconds to come and be read."""
    asked: list[tuple[object, ...]] = []

    def fetch(_: Fetcher, *arguments: object) -> bytes:
        asked.append(arguments)
        return b"Hello there."

    monkeypatch.setattr(Fetcher, "fetch", fetch)
    id_of(contents.create({"fileUrl": "https://example.com/a.txt"}))
    assert asked == [("https://example.com/a.txt", 20.0, 10_000_000)]
    assert website.requests == []


ONE = "text, file, fileUrl"


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ({}, refusal(ONE, "one of them must be sent.")),
        ({"name": "A", "fileUrl": "", "text": None}, refusal(ONE, "one of them must be sent.")),
        ({"text": "A", "fileUrl": "https://a.example"}, refusal(ONE, "must not be sent together.")),
        ({"text": "A"}, refusal("name", "must be present.")),
        ({"name": "A", "text": ""}, refusal("text", "must not be blank.")),
        ({"name": "A", "text": " \n"}, refusal("text", "must not be blank.")),
        ({"name": " ", "text": "A"}, refusal("name", "must not be blank.")),
        ({"name": "a" * 201, "text": "A"}, refusal("name", "must have at most 200 characters.")),
        ({"name": "A", "text": "A", "folder": " "}, refusal("folder", "must not be blank.")),
        (
            {"name": "A", "text": "A", "tags": ",".join("abcdefghijklmnopqrstu")},
            refusal("tags", "must be at most 20, not 21."),
        ),
        (
            {"name": "A", "text": "A", "externalId": "e" * 256},
            refusal("externalId", "must be a text of up to 255 characters, not blank."),
        ),
        (
            {"name": "A", "text": "A", "source": "s" * 2_001},
            refusal("source", "must have at most 2,000 characters."),
        ),
        (
            {"name": "A", "text": "x" * 2_000_001},
            refusal("text", "must have at most 2,000,000 characters."),
        ),
        (
            {"name": "A", "text": "A", "colour": "red", "size": None, "bits": []},
            refusal("colour, size, bits", f"must be one of: {FIELDS}."),
        ),
        (
            {"name": "A", "text": "A", **{f"n{number}": 1 for number in range(11)}},
            refusal(
                "n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, …",
                f"must be one of: {FIELDS}.",
            ),
        ),
        (
            {"name": ["A", "B"], "text": "A"},
            refusal("name", "must be sent once."),
        ),
        ({"name": [], "text": "A"}, refusal("name", "must not be a list.")),
        (
            {"name": "A", "file": "A"},
            refusal(
                "file",
                "must be a file of a multipart form; `text` takes a text, `fileUrl` a URL.",
            ),
        ),
        (
            {"name": "A", "text": "A", "folder": "019a6f3e-7c00-7000-8000-000000000001"},
            refusal("folder", "must be a name, or the id of an existing folder."),
        ),
        ("", answer(400, "The body is not JSON: Expecting value at line 1, column 1.")),
        ("[]", answer(400, "The body must be a JSON object.")),
        ('"A"', answer(400, "The body must be a JSON object.")),
        (
            {"name": {"a": 1}, "text": "A"},
            answer(
                400,
                "name: must be a string, a number, true, false or null, or a list of them.",
            ),
        ),
        (
            '{"name": "\\ud800", "text": "A"}',
            answer(400, "name: must have no half of a surrogate pair."),
        ),
        ('{"name": "A", "text": "\\u0000"}', answer(400, "text: must have no NUL character.")),
    ],
)
def test_a_bad_request_names_what_is_wrong(
    contents: Contents, body: object, result: Result
) -> None:
    """A bad field is refused by its name, and nothing is stored."""
    assert contents.create(body) == result
    assert stored() == NOTHING


def test_bad_forms(contents: Contents) -> None:
    """A file instead of a text, two files, and a body that is no form are refused."""
    sent = ("file", ("a.txt", b"Hello there."))
    assert contents.submit(("name", ("a.txt", b"A")), sent) == refusal("name", "must be a text.")
    twice = "must be sent once."
    assert contents.submit(sent, sent) == refusal("file", twice)
    assert contents.submit(("text", "A"), sent) == refusal(ONE, "must not be sent together.")
    assert contents.post("text/plain", b"Hello")["statusCode"] == 400
    assert contents.post("multipart/form-data; boundary=a", b"--a\r\n")["statusCode"] == 400
    assert stored() == NOTHING


def test_what_looks_like_a_template_stays_as_it_is(contents: Contents) -> None:
    """A text with {{…}} or brackets in it is stored as it was sent."""
    text = "Dear [Name], {{step1}} and {{question}}."
    assert text_of(contents.created(text=text, name="{{a}}")["id"]) == text


def test_a_folder_may_be_given_by_its_id(contents: Contents, other_tenant: Tenant) -> None:
    """The id of a folder that is there is that folder; another tenant's is not there."""
    folder = contents.created(folder="Terms")["folder"]
    assert contents.created(folder=folder["id"].upper())["folder"] == folder
    assert contents.created(folder=" terms ")["folder"]["id"] == folder["id"]
    theirs = folder_id(other_tenant.id, "Terms")
    services().contents.create(other_tenant.id, Draft(name="A", text="B", folder="Terms"))
    expected = refusal("folder", "must be a name, or the id of an existing folder.")
    assert contents.create({"name": "A", "text": "B", "folder": theirs}) == expected


def test_an_external_id_is_taken_once(
    contents: Contents, contents_of: Callable[[Tenant], Contents], other_tenant: Tenant
) -> None:
    """A second content of the same external id is a conflict, and another tenant's is none."""
    contents.created(externalId="terms-1")
    before = stored()
    result = contents.create({"name": "A", "text": "B", "externalId": "terms-1"})
    assert result == answer(409, "There is a content with this external id.")
    assert stored() == before
    assert contents_of(other_tenant).created(externalId="terms-1")["externalId"] == "terms-1"


@pytest.mark.parametrize("operation", ["dynamodb.TransactWriteItems", "s3.PutObject"])
def test_storage_out_of_reach(
    contents: Contents, cut_off: Callable[[str], None], set_clock: SetClock, operation: str
) -> None:
    """Without storage the client is asked to come back, and nothing is half there."""
    cut_off(operation)
    set_clock.advance(minutes=1)
    result = contents.create({"name": "A", "text": "B"})
    assert result == answer(503, "Try again in a moment.", retry_after="1")
    assert contents.folders()["body"]["results"]["foldersCount"] == 0
