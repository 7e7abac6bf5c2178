"""Listing an app's generations through GenAI Stack's API: the handler with its event."""

import base64
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from afterword import clock
from afterword.dialects import genai_stack
from afterword.generations import Reason, new_id
from afterword.handlers import paging
from afterword.runtime.clients import clients
from afterword.services import services
from tests.conftest import FLOW, Event, SetClock, Tenant
from tests.endpoints.conftest import ClientFor
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import completion
from tests.harness.genai_stack import (
    BIG,
    DOCUMENTED_READ,
    Client,
    Result,
    answer,
    body_of,
    differences,
    ids,
    link,
    refusal,
    send,
    shown,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import WriteRequestTypeDef

TABLE = REFERENCES["GenerationsTable"]
RESPONSE_BYTES = 6 * 1024 * 1024
"""The most bytes of a function's response."""


def fill(set_clock: SetClock, count: int, flow: str = FLOW, tenant: str = "demo") -> list[str]:
    """Put light generations straight into the table, a millisecond apart; newest first."""
    made = []
    requests: list[WriteRequestTypeDef] = []
    for _ in range(count):
        set_clock.advance(milliseconds=1)
        generation_id, millis = new_id(), str(clock.to_millis(clock.now()))
        made.append(generation_id)
        texts = {
            "pk": f"{tenant}#{generation_id}",
            "list_key": f"{tenant}#{flow}",
            "list_order": f"{millis}#{generation_id}",
            "tenant": tenant,
            "id": generation_id,
            "dialect": "genai_stack",
            "flow": flow,
            "status": "queued",
            "request": '{"inputs": {"text": "Hello"}, "template": null}',
        }
        numbers = {
            "flow_version": "1",
            "attempt": "0",
            "created_at": millis,
            "deadline_at": millis,
            "expires_at": str(int(clock.now().timestamp()) + 86_400),
        }
        item: dict[str, Any] = {name: {"S": text} for name, text in texts.items()}
        item |= {name: {"N": number} for name, number in numbers.items()}
        requests.append({"PutRequest": {"Item": item}})
    for start in range(0, count, 25):
        clients().dynamodb.batch_write_item(RequestItems={TABLE: requests[start : start + 25]})
    return made[::-1]


def submit(client: Client, set_clock: SetClock, *texts: str) -> list[str]:
    """Submit texts, a second apart, and return the generations' ids, newest first."""
    made = []
    for text in texts:
        made.append(client.submitted(("text", text)))
        set_clock.advance(seconds=1)
    return made[::-1]


def test_a_new_app_has_no_generations(client: Client) -> None:
    """Without generations the list is empty, and there is no link."""
    assert client.list() == answer([])


def test_generations_are_listed_newest_first(client: Client, set_clock: SetClock) -> None:
    """A list has every generation whole, as it is read alone, the newest one first."""
    newest, middle, oldest = submit(client, set_clock, "a", BIG, "c")
    store = services().store
    claimed = store.claim("demo", middle, clock.now() + timedelta(minutes=1))
    assert claimed is not None
    store.succeed(claimed, completion(BIG))
    claimed = store.claim("demo", oldest, clock.now() + timedelta(minutes=1))
    assert claimed is not None
    store.fail(claimed, Reason.REFUSED_CONTENT, "The model refused it.")
    client.set_title(newest, "Third")
    result = client.list()
    assert result == answer([body_of(client.get(each)) for each in (newest, middle, oldest)])
    assert differences(body_of(result), [DOCUMENTED_READ]) == []
    assert [each["status"] for each in body_of(result)] == ["pending", "completed", "failed"]
    assert body_of(result)[0] == shown(
        newest, {"text": "c"}, title="Third", created_at="2026-11-10T09:00:02.000Z"
    )


def test_generations_of_one_moment_have_an_order(client: Client) -> None:
    """Generations of the same millisecond are listed once, in the same order each time."""
    made = {client.submitted() for _ in range(12)}
    pages = [ids(page) for page in client.pages(limit="5")]
    assert [len(page) for page in pages] == [5, 5, 2]
    assert {each for page in pages for each in page} == made
    assert ids(client.list()) == [each for page in pages for each in page]


@pytest.mark.parametrize(
    ("count", "limit", "sizes"),
    [
        (250, "100", [100, 100, 50]),
        (250, None, [100, 100, 50]),
        (7, "3", [3, 3, 1]),
        (5, "1", [1, 1, 1, 1, 1]),
        (3, "100", [3]),
    ],
)
def test_pages_have_every_generation_once(
    client: Client, set_clock: SetClock, count: int, limit: str | None, sizes: list[int]
) -> None:
    """Following the links leads through the whole list, newest first: no gaps, nothing twice."""
    made = fill(set_clock, count)
    query = {} if limit is None else {"limit": limit}
    pages = [ids(page) for page in client.pages(**query)]
    assert [len(page) for page in pages if page] == sizes
    assert [each for page in pages for each in page] == made


def test_a_link_says_where_the_next_page_begins(client: Client, set_clock: SetClock) -> None:
    """A page's link has the limit, where the next one begins, and no key."""
    made = submit(client, set_clock, "a", "b", "c")
    event = client.event("list_text_generations")
    del event["headers"]["authorization"]
    query = {"token": client.key, "limit": "2"}
    page = send("list_text_generations", event | {"queryStringParameters": query})
    order = f"{clock.to_millis(services().store.get('demo', made[1]).created_at)}#{made[1]}"
    after = base64.urlsafe_b64encode(order.encode()).decode().rstrip("=")
    assert page["headers"] == {
        **answer([])["headers"],
        "link": f'</api/v1/generations?limit=2&after={after}>; rel="next"',
    }
    rest = client.next(page)
    assert rest is not None
    assert ids(rest) == made[2:]
    assert link(rest) is None


def test_pages_are_stable_while_new_ones_arrive(client: Client, set_clock: SetClock) -> None:
    """A generation submitted between two pages moves nothing, and is on a new first page."""
    made = fill(set_clock, 25)
    page: Result | None = client.list(limit="10")
    seen: list[str] = []
    arrived: list[str] = []
    while page is not None:
        seen += ids(page)
        arrived = fill(set_clock, 3) + arrived
        page = client.next(page)
    assert seen == made
    assert ids(client.list()) == [*arrived, *made]


def test_a_page_can_be_asked_for_again(client: Client, set_clock: SetClock) -> None:
    """A link leads to the same page each time, and may be followed with another limit."""
    made = fill(set_clock, 9)
    query = link(client.list(limit="4"))
    assert query is not None
    assert client.list(**query) == client.list(**query)
    assert ids(client.list(**query)) == made[4:8]
    assert ids(client.list(after=query["after"])) == made[4:]


def test_expired_generations_are_left_out(client: Client, set_clock: SetClock) -> None:
    """After the retention a generation is on no page, and what comes before it still is."""
    submit(client, set_clock, *["old"] * 5)
    set_clock.advance(days=29)
    newer = submit(client, set_clock, "a", "b", "c")
    set_clock.advance(days=1)
    pages = [ids(page) for page in client.pages(limit="2")]
    assert [each for page in pages for each in page] == newer
    set_clock.advance(days=29)
    assert [each for page in client.pages(limit="2") for each in ids(page)] == []


def test_other_peoples_generations_are_left_out(
    tenant: Tenant,
    client: Client,
    chat: Client,
    other_tenant: Tenant,
    client_for: ClientFor,
) -> None:
    """Another flow's generations and another tenant's of a flow of the same id are on no page."""
    theirs = client_for(other_tenant)
    foreign = theirs.submitted()
    asked = chat.submitted(("question", "Why?"))
    own = client.submitted()
    assert tenant.id != other_tenant.id
    assert [ids(app.list()) for app in (client, chat, theirs)] == [[own], [asked], [foreign]]


def test_a_link_of_another_app_leads_to_ones_own(
    client: Client, set_clock: SetClock, other_tenant: Tenant, client_for: ClientFor
) -> None:
    """Where a page begins says nothing of whose it is: with another key it shows that key's app."""
    theirs = client_for(other_tenant)
    query: Mapping[str, str] | None = None
    own = []
    for _ in range(3):
        own.append(client.submitted())
        theirs.submitted()
        set_clock.advance(seconds=1)
    query = link(theirs.list(limit="1"))
    assert query is not None
    assert ids(client.list(**(query | {"limit": "100"}))) in (own[::-1], own[1::-1])


def test_what_was_submitted_through_dialonce_is_listed_and_read(
    client: Client, submission_event: Event
) -> None:
    """A mail that was sent to the same flow through Dialonce's API is a generation like others."""
    mail = {"subject": "A claim", "body": "Hello", "metadata": {"n": 1}, "template": "Hi [name]"}
    result = invoke("submit_mail_generation", submission_event | {"body": json.dumps(mail)})
    generation_id = json.loads(result["body"])["process_cuid"]
    inputs = {"subject": "A claim", "body": "Hello", "metadata": '{"n": 1}'}
    assert client.get(generation_id) == answer(shown(generation_id, inputs))
    assert client.list() == answer([shown(generation_id, inputs)])
    titled = answer(shown(generation_id, inputs, title="A mail"))
    assert client.set_title(generation_id, "A mail") == titled


@pytest.mark.parametrize(
    "limit", ["0", "101", "1000", "-1", "1.0", "", " 5", "5 ", "٣", "ten", "5,5", "1e1", "+5"]
)
def test_a_limit_is_a_whole_number_up_to_a_hundred(client: Client, limit: str) -> None:
    """Any other limit gets 400."""
    message = "limit: must be a whole number from 1 to 100."
    assert client.list(limit=limit) == refusal(400, message)


@pytest.mark.parametrize(
    "after",
    [
        "",
        "nonsense",
        "é",
        "\ud800",
        "x" * 5_000,
        "MTc5NDMwMTIwMDAwMA",
        base64.urlsafe_b64encode(b"1794301200000#zzz").decode(),
        base64.urlsafe_b64encode(b"1794301200000#" + b"a" * 36 + b"\n").decode(),
        base64.urlsafe_b64encode(b"\xff" * 50).decode(),
        "1794301200000#019a6f3e-7c00-7000-8000-000000000009",
    ],
    ids=range(10),
)
def test_a_page_begins_where_a_link_says(client: Client, after: str) -> None:
    """An `after` that is in no link gets 400."""
    message = "after: must be a cursor of a Link header."
    assert client.list(after=after) == refusal(400, message)


# --- big texts ------------------------------------------------------------------------------------


def test_a_page_of_big_texts_ends_early(
    client: Client, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page ends before it has more than a response can, and its link goes on from there."""
    monkeypatch.setattr(paging, "PAGE_BYTES", 50_000)
    made = submit(client, set_clock, "a", BIG, BIG, BIG, "b", BIG * 3, "c", BIG)
    pages = [ids(page) for page in client.pages(limit="5")]
    assert [each for page in pages for each in page] == made
    assert [len(page) for page in pages] == [2, 1, 3, 2]


@pytest.mark.parametrize(
    "character",
    [
        "x",
        "\x01",
        *(
            pytest.param(each, marks=pytest.mark.long)
            for each in ('"', "\\", "\n", "é", "😀", "\u2028")
        ),
    ],
)
def test_no_page_is_more_than_a_response_can_have(
    client: Client, set_clock: SetClock, character: str
) -> None:
    """With any texts, a result as Lambda sends it is no more than 6 MB."""
    store = services().store
    for generation_id in submit(client, set_clock, *["Hello"] * 12):
        claimed = store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
        assert claimed is not None
        store.succeed(claimed, completion(character * 300_000))
    pages = list(client.pages())
    assert sum(len(ids(page)) for page in pages) == 12
    sizes = [len(json.dumps(page, ensure_ascii=False).encode()) for page in [*pages, client.app()]]
    assert max(sizes) <= RESPONSE_BYTES


@pytest.mark.parametrize("character", ["x", '"', "\\", "\n", "é", "語", "😀"])
def test_the_largest_input_and_text_are_shown(form: Client, character: str) -> None:
    """A generation whose input is as long as may be can be seen wherever it is shown."""
    story = "a" + character * 999_999
    sent = json.dumps({"topic": "Snow", "story": story}, ensure_ascii=False)
    results = [form.post("application/json", sent.encode())]
    generation_id = body_of(results[0])["id"]
    claimed = services().store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
    assert claimed is not None
    services().store.succeed(claimed, completion(character * 400_000))
    results += [form.get(generation_id), form.set_title(generation_id, "x"), form.list()]
    assert body_of(results[1])["inputs"]["story"] == story
    for result in [*results, form.app()]:
        assert generation_id in result["body"]
        assert genai_stack.TOO_LARGE not in result["body"]
        assert len(json.dumps(result, ensure_ascii=False).encode()) <= RESPONSE_BYTES


def test_inputs_that_no_response_could_have_are_not_shown(
    client: Client, chat: Client, submission_event: Event
) -> None:
    """Inputs too big for a response are left out, and the list goes on after them."""
    for app in (client, chat):
        event = submission_event | {
            "body": json.dumps({"subject": "A", "body": '"' * 2_000_000}),
            "pathParameters": {"companyCuid": "demo", "orchestratorCuid": app.flow},
        }
        generation_id = json.loads(invoke("submit_mail_generation", event)["body"])["process_cuid"]
        claimed = services().store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
        assert claimed is not None
        assert claimed.inputs["body"] == '"' * 2_000_000
        services().store.succeed(claimed, completion("Hi"))
        body = body_of(app.get(generation_id))
        too_large = "(too large to be shown)"
        assert body["inputs"] == {"subject": too_large, "body": too_large}
        assert body["outputs"] == {"text": "Hi"}
        assert body_of(app.list()) == [body]
        assert generation_id in app.app()["body"]
        for result in (app.get(generation_id), app.list(), app.app()):
            assert len(json.dumps(result, ensure_ascii=False).encode()) <= RESPONSE_BYTES


# --- what a page costs ----------------------------------------------------------------------------


@dataclass
class Reads:
    """The calls of DynamoDB, and the read units that their answers cost by its rules.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html:
    a unit is 4 KB; an eventually consistent read takes half of one. A query's items are rounded up
    together, those of a batch read each by itself.
    """

    operations: list[str] = field(default_factory=list)
    units: float = 0.0

    def note(self, parsed: Mapping[str, Any], model: Any, **_: object) -> None:  # noqa: ANN401 - botocore's own
        """Count an answer."""
        self.operations.append(model.name)
        if model.name == "Query":
            assert parsed["ScannedCount"] == parsed["Count"]
            self.units += _units(sum(map(_size, parsed["Items"]))) / 2
        for items in parsed.get("Responses", {}).values():
            self.units += sum(_units(_size(item)) / 2 for item in items)


def _units(size: int) -> int:
    return math.ceil(size / 4_096)


def _size(item: Mapping[str, Mapping[str, str]]) -> int:
    """Return the size of an item of strings and numbers: names and values in UTF-8."""
    return sum(
        len(name.encode()) + len(text.encode())
        for name, value in item.items()
        for text in value.values()
    )


@pytest.mark.parametrize("many", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_a_page_costs_the_same_however_many_there_are(
    client: Client, set_clock: SetClock, many: int
) -> None:
    """A page takes a query and a batch read, with 10,000 generations as with a hundred.

    That is 52 read units for a page of 100 light generations. The query takes 2, for 12,600 bytes
    of keys; each item, of 4 KB at most, takes half a unit. The oldest generation alone takes 1.
    The API key is known.
    """
    found: list[tuple[list[str], float]] = []
    for more in (101, many - 101):
        fill(set_clock, more)
        client.list(limit="1")  # the key is known for a minute
        for query in ({}, _far_back(client)):
            reads = Reads()
            events = clients().dynamodb.meta.events
            events.register("after-call.dynamodb", reads.note)
            assert len(ids(client.list(**query))) == (100 if not query else 1)
            events.unregister("after-call.dynamodb", reads.note)
            found.append((reads.operations, reads.units))
    assert found[0] == found[2] == (["Query", "BatchGetItem"], 52.0)
    assert found[1] == found[3] == (["Query", "BatchGetItem"], 1.0)


def _far_back(client: Client) -> dict[str, str]:
    """Return the query of a page with the oldest generation alone."""
    oldest = clients().dynamodb.query(
        TableName=TABLE,
        IndexName="by_flow",
        KeyConditionExpression="list_key = :key",
        ExpressionAttributeValues={":key": {"S": f"demo#{client.flow}"}},
        Limit=2,
    )["Items"]
    order = oldest[1]["list_order"]["S"]
    return {"after": base64.urlsafe_b64encode(order.encode()).decode().rstrip("=")}


def test_what_dynamodb_leaves_out_of_a_batch_is_asked_for_again(
    client: Client, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch read that comes back in parts is still the whole page, in its order."""
    made = fill(set_clock, 7)
    read = clients().dynamodb.batch_get_item
    asked: list[int] = []

    def read_three(RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        keys = RequestItems[TABLE]["Keys"]
        asked.append(len(keys))
        answered: dict[str, Any] = dict(read(RequestItems={TABLE: {"Keys": keys[:3]}}))
        if keys[3:]:
            answered["UnprocessedKeys"] = {TABLE: {"Keys": keys[3:]}}
        return answered

    monkeypatch.setattr(clients().dynamodb, "batch_get_item", read_three)
    assert ids(client.list()) == made
    assert asked == [7, 4, 1]


def test_without_the_bucket_a_page_comes_later(
    client: Client, set_clock: SetClock, cut_off: Callable[[str], None]
) -> None:
    """When S3 is out of reach, a page with a big text is asked for again."""
    submit(client, set_clock, "a", BIG)
    cut_off("s3.GetObject")
    assert client.list() == refusal(503, "Try again in a moment.", retry_after="1")
    assert client.list(limit="1")["statusCode"] == 503
