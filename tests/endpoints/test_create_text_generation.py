"""Submitting a form through GenAI Stack's API: the handler with its event, under moto."""

import io
import json
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from afterword import clock
from afterword.flows.inputs import FILE_TYPES
from afterword.generations import is_id
from afterword.generations.claims import Claim
from afterword.limits import Limits
from afterword.runtime.clients import clients
from afterword.services import services
from tests.conftest import FLOW, START, Event, SetClock, Stored, Tenant
from tests.endpoints import conftest
from tests.endpoints.conftest import ClientFor
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import FakeModel, saying
from tests.harness.genai_stack import (
    BIG,
    DOCUMENTED_READ,
    FORM,
    FORM_DOCUMENT,
    Client,
    Result,
    Value,
    answer,
    body_of,
    differences,
    refusal,
    send,
    shown,
    unprocessable,
)

if TYPE_CHECKING:
    from afterword.files import StoredFile

NOTHING = Stored(items=0, messages=0, objects=0)
URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=XyZ"
BINARY = "a binary file of an unknown kind"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


def claim(client: Client, generation_id: str) -> Claim:
    """Claim a generation as a worker does."""
    claimed = services().store.claim(client.tenant, generation_id, clock.now() + timedelta(hours=1))
    assert claimed is not None
    return claimed


def inputs_of(client: Client, result: Result) -> Mapping[str, object]:
    """Return the inputs of a submission, which are shown as the worker gets them."""
    body = body_of(result)
    claimed = claim(client, body["id"])
    assert body["inputs"] == claimed.inputs
    return claimed.inputs


def multipart(*parts: str) -> bytes:
    """Return a multipart body of parts with their headers, with line ends instead of CRLF."""
    body = "".join(f"--XyZ\n{part}\n" for part in parts) + "--XyZ--\n"
    return body.replace("\n", "\r\n").encode()


def pair(key: str, value: str) -> tuple[str, str]:
    """Return the parts of an input in the documented pair list."""
    disposition = "Content-Disposition: form-data; name="
    return f'{disposition}"input_key"\n\n{key}', f'{disposition}"input_value"\n\n{value}'


def test_the_sample_form_is_accepted_stored_and_queued(
    client: Client, stored: Callable[[], Stored]
) -> None:
    """A form is answered with its generation, which stands in the table and in the queue."""
    result = send("create_text_generation", client.event("create_text_generation"))
    generation_id = body_of(result)["id"]
    assert is_id(generation_id)
    inputs = {"text": "What is your refund policy?"}
    assert result == answer(shown(generation_id, inputs))
    assert client.get(generation_id) == result
    assert stored() == Stored(items=1, messages=1, objects=0)
    (message,) = clients().sqs.receive_message(QueueUrl=REFERENCES["Queue"])["Messages"]
    assert json.loads(message["Body"]) == {"tenant": "demo", "id": generation_id}
    generation = services().store.get("demo", generation_id)
    assert (generation.dialect, generation.flow, generation.created_at) == (
        "genai_stack",
        FLOW,
        START,
    )


def test_a_generation_has_the_documented_fields(form: Client) -> None:
    """A submission with every kind of input is answered as documented."""
    result = form.submit(
        ("topic", "Snow"), ("keywords", "a"), ("keywords", "b"), ("photo", ("p.png", PNG))
    )
    assert differences(body_of(result), DOCUMENTED_READ) == []


FORMS = [
    pytest.param(URLENCODED, b"topic=Snow&keywords=a&keywords=%C3%A9+b", id="urlencoded"),
    pytest.param(
        URLENCODED,
        b"input_key=topic&input_value=Snow&input_key=keywords&input_value=a"
        b"&input_key=keywords&input_value=%C3%A9+b",
        id="urlencoded pairs",
    ),
    pytest.param(
        MULTIPART,
        multipart(
            'Content-Disposition: form-data; name="keywords"\n\na',
            'Content-Disposition: form-data; name="topic"\n\nSnow',
            'Content-Disposition: form-data; name="keywords"\n\né b',
        ),
        id="multipart",
    ),
    pytest.param(
        MULTIPART,
        multipart(*pair("topic", "Snow"), *pair("keywords", "a"), *pair("keywords", "é b")),
        id="multipart pairs",
    ),
    pytest.param(
        MULTIPART,
        multipart(
            *pair("keywords", "a"),
            'Content-Disposition: form-data; name="topic"\n\nSnow',
            *pair("keywords", "é b"),
        ),
        id="pairs and plain fields",
    ),
    pytest.param(
        "application/json",
        '{"topic": "Snow", "keywords": ["a", "é b"], "words": null}'.encode(),
        id="JSON",
    ),
    pytest.param(
        "application/json",
        '[{"input_key": "topic", "input_value": "Snow"},'
        ' {"input_key": "keywords", "input_value": ["a", "é b"]}]'.encode(),
        id="JSON pairs",
    ),
]


@pytest.mark.parametrize(("content_type", "body"), FORMS)
def test_every_form_of_a_form_is_the_same(
    form: Client, stored: Callable[[], Stored], content_type: str, body: bytes
) -> None:
    """However a client writes its inputs, they are the same ones, with defaults for the others."""
    result = form.post(content_type, body)
    inputs = {"topic": "Snow", "tone": "formal", "keywords": ["a", "é b"]}
    generation_id = body_of(result)["id"]
    assert result == answer(shown(generation_id, inputs, flow=FORM))
    assert stored() == Stored(items=1, messages=1, objects=0)
    assert claim(form, generation_id).inputs == inputs


def test_a_body_may_come_as_text(form: Client) -> None:
    """API Gateway passes on what it takes for text as it is."""
    event = form.event("create_text_generation")
    event["headers"]["content-type"] = "application/json"
    event["body"] = '{"topic": "Réclamation 😀", "words": 12, "draft": true}'
    assert inputs_of(form, send("create_text_generation", event)) == {
        "topic": "Réclamation 😀",
        "words": "12",
        "draft": "true",
        "tone": "formal",
    }


@pytest.mark.parametrize(
    ("sent", "inputs"),
    [
        ([("words", " 12 ")], {"words": "12"}),
        ([("words", "1e2")], {"words": "1e2"}),
        ([("words", "1")], {"words": "1"}),
        ([("words", "500")], {"words": "500"}),
        ([("draft", "on")], {"draft": "true"}),
        ([("draft", "FALSE")], {"draft": "false"}),
        ([("tone", "friendly")], {"tone": "friendly"}),
        ([("tone", "")], {}),
        ([("keywords", "a")], {"keywords": ["a"]}),
        ([("keywords", ""), ("keywords", "a"), ("keywords", " ")], {"keywords": ["a"]}),
        ([("words", ""), ("draft", "  "), ("story", "")], {}),
        ([("story", "</story>\r\n[x] {y} \u2028 😀")], {"story": "</story>\r\n[x] {y} \u2028 😀"}),
        ([("story", "x" * 1_000_000)], {"story": "x" * 1_000_000}),
    ],
    ids=range(13),
)
def test_values_reach_the_worker(
    form: Client, sent: list[tuple[str, Value]], inputs: Mapping[str, object]
) -> None:
    """A value that fits its input is taken; a blank one is as if not sent."""
    result = form.submit(("topic", "x" * 40), *sent)
    expected = {"topic": "x" * 40, "tone": "formal", **inputs}
    assert inputs_of(form, result) == expected


def test_a_big_form_goes_to_the_bucket(form: Client, stored: Callable[[], Stored]) -> None:
    """A text that is too big for the item is in the bucket, and is shown all the same."""
    result = form.submit(("topic", "Snow"), ("story", BIG))
    assert body_of(result)["inputs"]["story"] == BIG
    assert stored() == Stored(items=1, messages=1, objects=1)
    assert form.get(body_of(result)["id"]) == result


# --- files ----------------------------------------------------------------------------------------


def test_files_are_kept_in_the_bucket_for_the_worker(
    form: Client, stored: Callable[[], Stored], read_item: Callable[[str, str], dict[str, Any]]
) -> None:
    """Files are stored under their tenant and never in the item; the worker gets them whole."""
    notes = "# Notes\r\n\r\n* é".encode()
    result = form.submit(
        ("sources", ("été ☀.md", notes)),
        ("topic", "Snow"),
        ("photo", ("C:\\me\\photo.txt", PNG)),
        ("sources", ("", b"a,b\n1,2\n3,4\n")),
    )
    generation_id = body_of(result)["id"]
    inputs = {
        "topic": "Snow",
        "tone": "formal",
        "sources": [
            {"name": "été ☀.md", "type": "text/markdown", "size": len(notes)},
            {"name": "", "type": "text/csv", "size": 12},
        ],
        "photo": {"name": "photo.txt", "type": "image/png", "size": len(PNG)},
    }
    assert result == answer(shown(generation_id, inputs, flow=FORM))
    assert form.get(generation_id) == result
    assert stored() == Stored(items=1, messages=1, objects=3)
    claimed = claim(form, generation_id)
    assert [(file.input, services().store.read_file(file)) for file in claimed.files] == [
        ("sources", notes),
        ("sources", b"a,b\n1,2\n3,4\n"),
        ("photo", PNG),
    ]
    listed = clients().s3.list_objects_v2(Bucket=REFERENCES["Bucket"])["Contents"]
    kept = {each["Key"] for each in listed}
    assert {file.key for file in claimed.files} == kept
    assert all(key.startswith(f"demo/{generation_id}/") for key in kept)
    item = str(read_item("demo", generation_id))
    assert "Notes" not in item
    assert "PNG" not in item


def test_a_file_may_come_in_a_pair(form: Client) -> None:
    """In the pair list a value may be a file, whose key says which input it is for."""
    result = form.submit(
        ("input_key", "photo"),
        ("input_value", ("p.png", PNG)),
        ("input_key", "topic"),
        ("input_value", "Snow"),
    )
    photo = {"name": "p.png", "type": "image/png", "size": len(PNG)}
    assert body_of(result)["inputs"] == {"topic": "Snow", "tone": "formal", "photo": photo}


def test_a_files_type_is_that_of_its_bytes(form: Client) -> None:
    """A file's type follows from neither its name nor its Content-Type."""
    part = (
        'Content-Disposition: form-data; name="photo"; filename="photo.png"\n'
        "Content-Type: image/png\n\n%PDF-1.7"
    )
    body = multipart(*pair("topic", "Snow"), part)
    shown_photo = body_of(form.post(MULTIPART, body))["inputs"]["photo"]
    assert shown_photo == {"name": "photo.png", "type": "application/pdf", "size": 8}


def test_two_tenants_files_do_not_meet(
    form: Client, other_tenant: Tenant, client_for: ClientFor
) -> None:
    """Files of the same name for the same app are each tenant's own."""
    services().registry.put_flow(other_tenant.id, FORM, FORM_DOCUMENT)
    files: dict[str, StoredFile] = {}
    for client in (form, client_for(other_tenant, FORM)):
        content = client.tenant.encode()
        result = client.submit(
            ("topic", "Snow"), ("photo", ("same.txt", content)), idempotency_key="same"
        )
        (files[client.tenant],) = claim(client, body_of(result)["id"]).files
    for tenant_id, file in files.items():
        assert services().store.read_file(file) == tenant_id.encode()
        assert file.key.startswith(f"{tenant_id}/")


def test_what_a_browser_sends_for_no_file_is_none(
    form: Client, stored: Callable[[], Stored]
) -> None:
    """An empty file input of an HTML form is as if not sent."""
    empty = (
        'Content-Disposition: form-data; name="photo"; filename=""\n'
        "Content-Type: application/octet-stream\n\n"
    )
    body = multipart(*pair("topic", "Snow"), empty)
    assert body_of(form.post(MULTIPART, body))["inputs"] == {"topic": "Snow", "tone": "formal"}
    assert stored().objects == 0


def test_nothing_is_accepted_whose_files_could_not_be_kept(
    form: Client, stored: Callable[[], Stored], cut_off: Callable[[str], None]
) -> None:
    """When the bucket is out of reach, a form with a file is not accepted by half."""
    cut_off("s3.PutObject")
    result = form.submit(("topic", "Snow"), ("photo", ("p.png", PNG)))
    assert result == refusal(503, "Try again in a moment.", retry_after="1")
    assert stored() == NOTHING


# --- what does not fit ----------------------------------------------------------------------------

TOPIC = ("topic", "Snow")
FIELDS = "topic, story, words, draft, tone, keywords, sources, photo"
UNFIT: list[tuple[list[tuple[str, Value]], str, str]] = [
    ([("tone", "formal")], "topic", "must be sent."),
    ([("topic", "")], "topic", "must not be empty."),
    ([("topic", " \t\r\n")], "topic", "must not be empty."),
    ([TOPIC, TOPIC], "topic", "must be sent once, not 2 times."),
    ([TOPIC, ("subject", "x")], "subject", f"must be one of: {FIELDS}."),
    ([TOPIC, ("Topic", "x")], "Topic", f"must be one of: {FIELDS}."),
    ([TOPIC, ("<b>", "x")], "An input", f"must be one of: {FIELDS}."),
    ([("topic", "x" * 41)], "topic", "must have at most 40 characters, not 41."),
    (
        [TOPIC, ("story", "x" * 1_000_001)],
        "story",
        "must have at most 1000000 characters, not 1000001.",
    ),
    (
        [TOPIC, ("keywords", "a"), ("keywords", "x" * 10_001)],
        "keywords",
        "must have at most 10000 characters, not 10001.",
    ),
    ([TOPIC, ("words", "many")], "words", "must be a number."),
    ([TOPIC, ("words", "1,5")], "words", "must be a number."),
    ([TOPIC, ("words", "NaN")], "words", "must be a number."),
    ([TOPIC, ("words", "٣")], "words", "must be a number."),
    ([TOPIC, ("words", "0")], "words", "must be at least 1."),
    ([TOPIC, ("words", "500.1")], "words", "must be at most 500."),
    ([TOPIC, ("words", "1e999")], "words", "must be at most 500."),
    ([TOPIC, ("draft", "maybe")], "draft", "must be true or false."),
    ([TOPIC, ("tone", "Formal")], "tone", "must be one of: formal, friendly."),
    ([("topic", ("t.txt", b"Snow"))], "topic", "must be a text, not a file."),
    ([TOPIC, ("draft", ("t.txt", b"true"))], "draft", "must be a text, not a file."),
    ([TOPIC, ("photo", "me.png")], "photo", "must be a file."),
    ([TOPIC, ("photo", ("p.png", b""))], "photo", "must not be an empty file."),
    (
        [TOPIC, ("photo", ("p.png", b"\0\1\2\3"))],
        "photo",
        f"must be a file of one of these types: {FILE_TYPES}; not {BINARY}.",
    ),
    (
        [TOPIC, ("sources", ("a.txt", b"a")), ("sources", ("b.txt", b"x" * 1_001))],
        "sources",
        "must be a file of at most 1000 bytes, not 1001.",
    ),
    (
        [TOPIC, ("photo", ("a.png", PNG)), ("photo", ("b.png", PNG))],
        "photo",
        "must be sent once, not 2 times.",
    ),
    (
        [TOPIC, *[("sources", (f"{number}.txt", b"a")) for number in range(21)]],
        "sources",
        "must be at most 20 files in all, not 21.",
    ),
]


@pytest.mark.parametrize(("fields", "field", "message"), UNFIT, ids=range(len(UNFIT)))
def test_what_does_not_fit_is_refused_by_name(
    form: Client,
    stored: Callable[[], Stored],
    fields: list[tuple[str, Value]],
    field: str,
    message: str,
) -> None:
    """A form that does not fit its flow gets 422, which names the input, and leaves no trace."""
    assert form.submit(*fields) == unprocessable(field, message)
    assert stored() == NOTHING


def test_a_required_file_is_asked_for(form: Client, stored: Callable[[], Stored]) -> None:
    """A form without a file that its flow requires is refused."""
    flow = json.loads(FORM_DOCUMENT) | {"inputs": [{"name": "photo", "kind": "file"}]}
    services().registry.put_flow("demo", FORM, json.dumps(flow))
    for fields in ([], [("photo", "")]):
        message = "must be a file." if fields else "must be sent."
        assert form.submit(*fields) == unprocessable("photo", message)
    assert stored() == NOTHING
    assert form.submit(("photo", ("p.png", PNG)))["statusCode"] == 200


def test_a_form_is_measured_by_the_newest_flow(form: Client) -> None:
    """A submission fits its flow as it stands at that moment, and is run with that version."""
    flow = json.loads(FORM_DOCUMENT) | {"inputs": [{"name": "subject"}]}
    services().registry.put_flow("demo", FORM, json.dumps(flow))
    message = "must be one of: subject."
    assert form.submit(TOPIC) == unprocessable("topic", message, ("subject", "must be sent."))
    body = body_of(form.submit(("subject", "Snow")))
    assert (body["inputs"], body["meta_data"]["flow_version"]) == ({"subject": "Snow"}, 2)


@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        (
            "text/plain",
            b"topic=Snow",
            f"Content-Type: must be multipart/form-data, {URLENCODED} or application/json.",
        ),
        ("application/json", b"{", None),
        ("application/json", b"7", None),
        ("application/json", b'{"topic": {"a": 1}}', None),
        ("application/json", b"\xff", None),
        (URLENCODED, b"topic=%C3", None),
        (URLENCODED, b"topic=%zz", None),
        (URLENCODED, b"topic", None),
        (URLENCODED, b"input_key=topic", None),
        (URLENCODED, b"input_value=Snow", None),
        (URLENCODED, b"topic=%00", None),
        ("multipart/form-data", multipart(*pair("topic", "Snow")), None),
        (MULTIPART, b"", None),
        (MULTIPART, b"topic=Snow", None),
        (MULTIPART, multipart(*pair("topic", "Snow"))[:-10], None),
        (MULTIPART, multipart("Content-Disposition: form-data\n\nSnow"), None),
    ],
    ids=range(16),
)
def test_what_cannot_be_read_is_refused(
    form: Client,
    stored: Callable[[], Stored],
    content_type: str,
    body: bytes,
    message: str | None,
) -> None:
    """A body that is no form gets 400 and says why, and leaves no trace."""
    result = form.post(content_type, body)
    detail = json.loads(result["body"])["detail"]
    assert isinstance(detail, str)
    assert detail == (message or detail)
    assert detail.endswith(".")
    assert result == refusal(400, detail)
    assert stored() == NOTHING


def test_what_was_sent_is_not_logged(form: Client, log: io.StringIO) -> None:
    """Whether a form is accepted or refused, no name, value or file of it is in the log."""
    form.submit(TOPIC, ("story", "Yttrium"), ("photo", ("Quokka.png", PNG)))
    form.submit(TOPIC, ("Wombat", "Yttrium"))
    form.submit(("topic", "Yttrium" * 10))
    form.post("application/json", b'{"topic": {"Yttrium": 1}}')
    assert log.getvalue().count('"message":"refused a request"') == 3
    assert not [word for word in ("Snow", "Yttrium", "Quokka", "Wombat") if word in log.getvalue()]


# --- what all submissions have --------------------------------------------------------------------


def test_the_same_key_and_form_are_one_generation(
    form: Client, stored: Callable[[], Stored]
) -> None:
    """A form that is sent again with its Idempotency-Key gets its generation, in any encoding."""
    first = form.submit(TOPIC, idempotency_key="case-457")
    again = form.post("application/json", b'{"topic": "Snow"}', idempotency_key="case-457")
    assert again == first
    assert uuid.UUID(body_of(first)["id"]).version == 5
    assert stored().items == 1
    other = form.submit(TOPIC, idempotency_key="case-458")
    assert body_of(other)["id"] != body_of(first)["id"]


def test_a_repeated_form_is_told_how_far_it_is(form: Client) -> None:
    """A repeated form shows the generation as it stands now."""
    generation_id = body_of(form.submit(TOPIC, idempotency_key="case-457"))["id"]
    claim(form, generation_id)
    assert form.submit(TOPIC, idempotency_key="case-457") == form.get(generation_id)
    assert body_of(form.get(generation_id))["status"] == "processing"


@pytest.mark.parametrize(
    "fields",
    [
        [("topic", "Rain")],
        [TOPIC, ("words", "12")],
        [TOPIC, ("photo", ("p.png", PNG + b"x"))],
        [TOPIC, ("photo", ("q.png", PNG))],
        [TOPIC, ("sources", ("p.png", PNG))],
    ],
    ids=range(5),
)
def test_the_same_key_for_another_form_is_refused(
    form: Client,
    stored: Callable[[], Stored],
    read_item: Callable[[str, str], dict[str, Any]],
    fields: list[tuple[str, Value]],
) -> None:
    """A key stands for one form with its files; with another it gets 422, and nothing changes."""
    first = form.submit(TOPIC, ("photo", ("p.png", PNG)), idempotency_key="case-457")
    generation_id = body_of(first)["id"]
    before = read_item("demo", generation_id)
    refused = refusal(422, "The Idempotency-Key was used before, for another request.")
    assert form.submit(*fields, idempotency_key="case-457") == refused
    assert read_item("demo", generation_id) == before
    assert (stored().items, stored().messages) == (1, 1)
    (file,) = claim(form, generation_id).files
    assert services().store.read_file(file) == PNG


def test_a_malformed_key_is_refused(form: Client, stored: Callable[[], Stored]) -> None:
    """A key is visible ASCII; any other gets 400."""
    message = "Idempotency-Key: must be 1 to 255 visible ASCII characters."
    assert form.submit(TOPIC, idempotency_key="case 457") == refusal(400, message)
    assert stored() == NOTHING


def test_a_form_may_have_a_deadline(form: Client) -> None:
    """`Afterword-Deadline` says in how many seconds the text is of use at most."""
    generation_id = body_of(form.submit(TOPIC, afterword_deadline="90"))["id"]
    deadline = services().store.get("demo", generation_id).deadline_at
    assert deadline == START + timedelta(seconds=90)


@pytest.mark.parametrize("seconds", ["9", "21601", "1.5", "soon", "", "-30"])
def test_a_deadline_out_of_bounds_is_refused(
    form: Client, stored: Callable[[], Stored], seconds: str
) -> None:
    """A deadline is ten seconds to six hours; any other gets 400."""
    message = "Afterword-Deadline: must be a whole number of seconds from 10 to 21600."
    assert form.submit(TOPIC, afterword_deadline=seconds) == refusal(400, message)
    assert stored() == NOTHING


def test_limits_are_told_in_fastapis_shape(
    form: Client, set_clock: SetClock, stored: Callable[[], Stored]
) -> None:
    """Past its tenant's limits a form gets 429 and when to come again, and nothing is stored."""
    services().registry.set_limits("demo", Limits(requests_per_minute=1))
    set_clock.advance(seconds=40)
    assert form.submit(TOPIC)["statusCode"] == 200
    before = stored()
    refused = refusal(429, "The limit of submissions a minute is 1.", retry_after="20")
    assert form.submit(TOPIC, ("photo", ("p.png", PNG))) == refused
    assert stored() == before


def test_a_bad_form_takes_no_slot(form: Client) -> None:
    """A form that is refused counts against no limit."""
    services().registry.set_limits("demo", Limits(requests_per_minute=1, running_at_once=1))
    assert form.submit(("topic", ""))["statusCode"] == 422
    assert form.submit(TOPIC)["statusCode"] == 200


def test_without_the_queue_a_form_is_accepted(
    form: Client, cut_off: Callable[[str], None], stored: Callable[[], Stored]
) -> None:
    """When the message cannot be sent the generation stands, and the sweeper sends it."""
    cut_off("sqs.SendMessage")
    assert form.submit(TOPIC)["statusCode"] == 200
    assert stored() == Stored(items=1, messages=0, objects=0)


# --- one core, two APIs ---------------------------------------------------------------------------


def test_what_was_submitted_here_is_read_through_dialonce(
    tenant: Tenant, client: Client, reading_event: Callable[[str], Event]
) -> None:
    """A tenant's key that is for no other flow reads the generation through Dialonce's API."""
    generation_id = client.submitted()
    expected = {
        "status": "started",
        "response": None,
        "external_ref": None,
        "external_metadata": None,
    }
    for key in (tenant.key, client.key):
        event = reading_event(generation_id)
        event["headers"]["authorization"] = f"Bearer {key}"
        assert invoke("get_mail_generation", event) == {
            "statusCode": 200,
            "headers": conftest.HEADERS,
            "body": json.dumps(expected),
        }


def test_a_form_becomes_a_text(
    form: Client,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
) -> None:
    """The worker asks the model with the inputs as data, each value of a repeated one by itself."""
    model = saying("Dear Ada, snow is cold.")
    use_model(model)
    generation_id = form.submitted(TOPIC, ("keywords", "</topic>"), ("keywords", "b"))
    assert invoke("generate", message_event(generation_id)) == {"batchItemFailures": []}
    (prompt,) = model.prompts
    assert prompt.user == (
        "<topic>Snow</topic>\n<tone>formal</tone>\n"
        "<keywords>&lt;/topic&gt;</keywords>\n<keywords>b</keywords>"
    )
    body = body_of(form.get(generation_id))
    assert (body["status"], body["outputs"]) == ("completed", {"text": "Dear Ada, snow is cold."})
