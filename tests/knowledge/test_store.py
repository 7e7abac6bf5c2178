"""The contents table and bucket: contents, their counts, and their tenants."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from afterword.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
    UnprocessableError,
)
from afterword.generations import FailedError, Reason, new_id
from afterword.knowledge import (
    MAX_CHARACTERS,
    MAX_EXTERNAL_ID,
    MAX_NAME,
    MAX_SOURCE,
    MAX_TAGS,
    Change,
    Content,
    Draft,
    Folder,
    folder_id,
    items,
    tag_id,
)
from afterword.knowledge import store as content_store
from afterword.knowledge.passages import cut_passages
from afterword.knowledge.ranking import Origin, SelectionTooLargeError
from afterword.knowledge.store import ContentChange, ContentStore
from afterword.runtime import dynamodb
from afterword.runtime.clients import clients
from afterword.runtime.pages import Page
from afterword.runtime.payloads import INLINE_BYTES
from afterword.services import services
from tests.conftest import START, Call, SetClock
from tests.harness.deployment import REFERENCES
from tests.harness.seeds import SEED_PARAMS, seeded

TABLE, BUCKET = REFERENCES["ContentsTable"], REFERENCES["ContentsBucket"]
OPENING = Draft(
    name="Opening hours",
    text="# Hours\n\nWe are open from nine to five. On Sundays we are closed.",
    folder="Shop",
    tags=("Public", "Hours"),
    external_id="hours-1",
    source="https://shop.example/hours",
    fingerprint="f-1",
)
BIG = "A sentence of a long text. " * 2_000
NO_FOLDER = "019a6f3e-7c00-7000-8000-00000000000f"

type Hook = Callable[[str, Callable[[], object]], None]


@pytest.fixture
def contents(aws: None, set_clock: SetClock) -> ContentStore:  # noqa: ARG001 - asked for their effect
    """Return an empty store of contents, at START."""
    return services().contents


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Wait for nothing, and note for how long it would have been."""
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    return waits


@pytest.fixture
def before_call(aws: None) -> Hook:  # noqa: ARG001 - asked for its effect
    """Return a function that lets something happen once, right before an AWS operation."""

    def once(operation: str, happen: Callable[[], object]) -> None:
        left = [happen]

        def hook(**_: object) -> object:
            return left.pop()() if left else None

        service = operation.partition(".")[0]
        client: Any = clients().dynamodb if service == "dynamodb" else clients().s3
        client.meta.events.register(f"before-call.{operation}", hook)

    return once


def answer_with(operation: str, answer: Callable[[], object]) -> Callable[[], None]:
    """Let something else answer an operation of DynamoDB; return the function that ends this."""

    def hook(**_: object) -> object:
        return answer()

    events: Any = clients().dynamodb.meta.events
    events.register(f"before-call.{operation}", hook)
    return lambda: events.unregister(f"before-call.{operation}", hook)


def change_answer(operation: str, change: Callable[[dict[str, Any]], bool]) -> None:
    """Change DynamoDB's answers to an operation until one is changed."""
    done: list[bool] = []

    def hook(parsed: dict[str, Any], **_: object) -> None:
        if not any(done):
            done.append(change(parsed))

    clients().dynamodb.meta.events.register(f"after-call.{operation}", hook)


def canceled(*codes: str) -> tuple[object, dict[str, Any]]:
    """Return DynamoDB's answer to a transaction that it canceled for these reasons."""
    return SimpleNamespace(status_code=400), {
        "Error": {"Code": "TransactionCanceledException", "Message": "Transaction cancelled"},
        "CancellationReasons": [{"Code": code} for code in codes],
    }


@dataclass
class Table:
    """The table's items: the sort keys of a tenant, and their items."""

    tenant: str

    def items(self, prefix: str = "") -> dict[str, dict[str, Any]]:
        """Return the items by sort key."""
        pages = clients().dynamodb.get_paginator("scan").paginate(TableName=TABLE)
        return {
            item["sk"]["S"]: dict(item)
            for page in pages
            for item in page["Items"]
            if item["pk"]["S"] == self.tenant and item["sk"]["S"].startswith(prefix)
        }

    def counts(self) -> dict[str, int]:
        """Return how many contents each label has, without those that have none."""
        counts = {
            sort_key: int(item["contents"]["N"])
            for sort_key, item in self.items().items()
            if sort_key.partition("#")[0] in {"all", "folder", "tag"}
        }
        return {sort_key: count for sort_key, count in counts.items() if count}


def objects() -> dict[str, bytes]:
    """Return the bucket's objects."""
    keys = [
        found["Key"] for found in clients().s3.list_objects_v2(Bucket=BUCKET).get("Contents", ())
    ]
    return {key: clients().s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def assert_sound(*tenants: str) -> None:
    """Assert that what names, counts and holds the contents fits them, and that nothing is over."""
    named = set()
    for tenant in tenants:
        table = Table(tenant)
        contents = table.items("content#").values()
        expected = Counter[str]()
        keys = set()
        for item in contents:
            folder, content = item["folder"]["S"], item["id"]["S"]
            tags = [tag["M"]["id"]["S"] for tag in item["tags"]["L"]]
            expected.update(["all", f"folder#{folder}", *(f"tag#{tag}" for tag in tags)])
            keys |= {f"content#{folder}#{content}", f"text#{folder}#{content}", f"id#{content}"}
            if "external_id" in item:
                keys.add(f"external#{item['external_id']['S']}")
                who = table.items(f"external#{item['external_id']['S']}")
                assert {found["id"]["S"] for found in who.values()} == {content}
            text = table.items(f"text#{folder}#{content}").popitem()[1]
            assert sorted(text.get("tags", {"SS": []})["SS"]) == sorted(tags)
            assert text["object"] == item["object"]
            named |= {item["object"]["S"], f"{item['object']['S']}.metadata.json"}
        assert table.counts() == dict(expected)
        labels = {key for key in table.items() if key.partition("#")[0] in {"all", "folder", "tag"}}
        assert table.items().keys() - labels == keys
    assert objects().keys() == named


def passages(contents: ContentStore, *, folder: str = "", tag: str = "") -> list[tuple[str, str]]:
    """Return titles and texts of the passages of a folder or a tag of `demo`, or of all."""
    selection = contents.select(
        "demo",
        [folder_id("demo", folder)] if folder else [],
        [tag_id("demo", tag)] if tag else [],
    )
    return [
        (candidate.origin.title, candidate.passage.text)
        for candidate in contents.read_candidates(selection)
    ]


def version(contents: ContentStore, *, folder: str = "", tag: str = "") -> str:
    """Return the version of what `passages` are of."""
    return contents.select(
        "demo",
        [folder_id("demo", folder)] if folder else [],
        [tag_id("demo", tag)] if tag else [],
    ).version


# --- adding and finding ---------------------------------------------------------------------------


def test_a_content_is_there_as_it_was_handed_in(contents: ContentStore) -> None:
    """A new content has all that its draft says, and is found by its id and external id."""
    created = contents.create("demo", OPENING)
    assert (created.tenant, created.name, created.folder.name) == ("demo", "Opening hours", "Shop")
    assert created.folder.id == folder_id("demo", "shop")
    assert [tag.name for tag in created.tags] == ["Public", "Hours"]
    assert [tag.id for tag in created.tags] == [tag_id("demo", "public"), tag_id("demo", "hours")]
    assert (created.external_id, created.source) == ("hours-1", "https://shop.example/hours")
    assert (created.fingerprint, created.characters) == ("f-1", len(OPENING.text))
    assert (created.passages, created.revision) == (len(cut_passages(OPENING.text)), 1)
    assert created.created_at == created.updated_at == START
    for reference in (created.id, "hours-1"):
        assert contents.get("demo", reference) == created
    assert contents.find("demo", "hours-1") == created
    assert_sound("demo")


@pytest.mark.parametrize(
    "reference", ["", "hours-2", NO_FOLDER, "x" * 5_000, "\ud800", "😀" * 255, "a#b"]
)
def test_what_is_not_there_is_not_found(contents: ContentStore, reference: str) -> None:
    """An absent content is not found by any key, and nothing else happens."""
    contents.create("demo", OPENING)
    with pytest.raises(NotFoundError, match=r"^There is no such content\.$"):
        contents.get("demo", reference)
    assert contents.find("demo", reference) is None


def test_an_id_goes_before_an_external_id(contents: ContentStore) -> None:
    """Of two contents, one of which has the other's id as its external id, the id's is found."""
    first = contents.create("demo", OPENING)
    second = contents.create("demo", replace(OPENING, external_id=first.id))
    assert contents.get("demo", first.id) == first
    assert contents.find("demo", first.id) == second
    contents.remove("demo", first.id)
    assert contents.get("demo", first.id) == second


def test_tenants_do_not_see_each_other(contents: ContentStore) -> None:
    """Another tenant has other folders, tags and contents, though all their names are the same."""
    mine = contents.create("demo", OPENING)
    theirs = contents.create("other", replace(OPENING, text="Never."))
    assert mine.folder.id != theirs.folder.id
    assert contents.find("other", "hours-1") == theirs
    for act in (
        lambda: contents.get("other", mine.id),
        lambda: contents.update("other", mine.id, Change(name="Mine")),
        lambda: contents.remove("other", mine.id),
        lambda: contents.list_contents("other", mine.folder.id, 10, None),
    ):
        with pytest.raises(NotFoundError):
            act()
    assert contents.list_contents("other", None, 10, None).items == (theirs,)
    assert contents.find_labels("other", [mine.folder.id], [mine.tags[0].id]) == set()
    assert [folder.id for folder in contents.list_folders("other")] == [theirs.folder.id]
    for folders in ((), (mine.folder.id,), (theirs.folder.id,)):
        found = contents.read_candidates(contents.select("other", folders, ()))
        assert {candidate.origin.content for candidate in found} <= {theirs.id}
    assert list(contents.read_candidates(contents.select("other", [mine.folder.id], ()))) == []
    contents.remove("other", theirs.id)
    assert contents.get("demo", "hours-1") == mine
    assert_sound("demo", "other")


def test_external_ids_are_unique(contents: ContentStore) -> None:
    """A content is not created, and not changed, with an external id that another one has."""
    first = contents.create("demo", OPENING)
    second = contents.create("demo", replace(OPENING, external_id="hours-2"))
    third = contents.create("demo", replace(OPENING, external_id=None))
    acts: tuple[Callable[[], object], ...] = (
        lambda: contents.create("demo", OPENING),
        lambda: contents.update("demo", second.id, Change(external_id="hours-1", text="New.")),
        lambda: contents.update("demo", third.id, Change(external_id="hours-2")),
    )
    for act in acts:
        with pytest.raises(ConflictError, match=r"^There is a content with this external id\.$"):
            act()
    page = contents.list_contents("demo", None, 10, None)
    assert {content.id: content for content in page.items} == {
        content.id: content for content in (first, second, third)
    }
    assert_sound("demo")


def test_an_external_id_that_is_removed_is_free(contents: ContentStore) -> None:
    """When a content gets another external id, or is removed, the old one may be used again."""
    first = contents.create("demo", OPENING)
    contents.update("demo", first.id, Change(external_id="hours-9"))
    assert contents.find("demo", "hours-1") is None
    second = contents.create("demo", OPENING)
    assert contents.find("demo", "hours-9") == contents.get("demo", first.id)
    contents.remove("demo", second.id)
    contents.update("demo", first.id, Change(external_id="hours-1"))
    assert_sound("demo")


# --- putting --------------------------------------------------------------------------------------


def test_a_put_adds_then_leaves_then_updates(contents: ContentStore, set_clock: SetClock) -> None:
    """A content is added once; the same put changes nothing, and another replaces it whole."""
    added, outcome = contents.put("demo", OPENING)
    assert outcome is ContentChange.ADDED
    set_clock.advance(hours=1)
    assert contents.put("demo", OPENING) == (added, ContentChange.UNCHANGED)
    other = Draft(name="Hours", text="Always.", folder="Shop", external_id="hours-1")
    updated, outcome = contents.put("demo", other)
    assert outcome is ContentChange.UPDATED
    assert (updated.id, updated.created_at) == (added.id, START)
    assert (updated.revision, updated.updated_at) == (2, set_clock.moment)
    assert (updated.name, updated.tags, updated.source) == ("Hours", (), None)
    assert (updated.fingerprint, updated.characters) == (None, len("Always."))
    assert passages(contents) == [("Hours", "Always.")]
    assert_sound("demo")


def test_a_put_without_an_external_id_names_it(contents: ContentStore) -> None:
    """A put knows a content by its external id, and needs one."""
    with pytest.raises(UnprocessableError) as refused:
        contents.put("demo", replace(OPENING, external_id=None))
    assert refused.value.field == "external_id"


@pytest.mark.parametrize(
    "same",
    [
        OPENING,
        replace(OPENING, folder=" shop "),
        replace(OPENING, tags=("HOURS", "public", "Hours")),
        replace(OPENING, name="Opening  hours"),
    ],
)
def test_what_is_unchanged_is_not_written(
    contents: ContentStore, calls: list[Call], same: Draft
) -> None:
    """Putting the same, in names that only differ in case, order or spaces, takes three reads."""
    contents.put("demo", OPENING)
    calls.clear()
    assert contents.put("demo", same)[1] is ContentChange.UNCHANGED
    assert [call.operation for call in calls] == ["dynamodb.BatchGetItem"] * 3


def test_a_change_that_changes_nothing_is_not_written(
    contents: ContentStore, calls: list[Call]
) -> None:
    """A change to what is there already writes nothing, and nor does one without anything."""
    created = contents.create("demo", OPENING)
    calls.clear()
    for change in (Change(), Change(name="Opening hours", text=OPENING.text, folder="SHOP")):
        assert contents.update("demo", created.id, change) == created
    assert {call.operation for call in calls} == {"dynamodb.BatchGetItem"}


# --- changing -------------------------------------------------------------------------------------


def test_what_is_not_named_stays(contents: ContentStore, set_clock: SetClock) -> None:
    """A change of one field leaves the others, the text too."""
    created = contents.create("demo", OPENING)
    set_clock.advance(minutes=1)
    for change in (
        Change(name="Hours"),
        Change(source="https://shop.example/new"),
        Change(fingerprint="f-2"),
        Change(external_id="hours-2"),
    ):
        before = contents.get("demo", created.id)
        (field,) = (name for name in Change.__slots__ if getattr(change, name) is not None)
        after = contents.update("demo", created.id, change)
        assert after == contents.get("demo", created.id)
        assert after == replace(
            before,
            **{field: getattr(change, field)},
            revision=before.revision + 1,
            updated_at=set_clock.moment,
        )
    assert [text for _, text in passages(contents)] == [
        each.text for each in cut_passages(OPENING.text)
    ]
    assert_sound("demo")


def test_a_fingerprint_goes_with_its_text(contents: ContentStore) -> None:
    """A new text without a fingerprint has none; the same text keeps it."""
    created = contents.create("demo", OPENING)
    same = contents.update("demo", created.id, Change(text=OPENING.text, name="Hours"))
    assert same.fingerprint == "f-1"
    assert contents.update("demo", created.id, Change(text="New.")).fingerprint is None
    assert contents.update("demo", created.id, Change(fingerprint="f-3")).fingerprint == "f-3"


def test_a_content_moves_to_another_folder(contents: ContentStore) -> None:
    """A content is in one folder: both count it right, and both have changed."""
    created = contents.create("demo", OPENING)
    contents.create("demo", replace(OPENING, external_id=None, folder="Web"))
    before = version(contents, folder="Shop"), version(contents, folder="Web")
    moved = contents.update("demo", created.id, Change(folder="web"))
    assert moved.folder.id == folder_id("demo", "Web")
    assert contents.get("demo", "hours-1") == moved
    assert contents.list_folders("demo") == [
        Folder(folder_id("demo", "Shop"), "Shop", 0),
        Folder(folder_id("demo", "Web"), "Web", 2),
    ]
    assert passages(contents, folder="Shop") == []
    assert len(passages(contents, folder="Web")) == 2
    after = version(contents, folder="Shop"), version(contents, folder="Web")
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert_sound("demo")


def test_tags_come_and_go(contents: ContentStore) -> None:
    """Tags that are added and taken away count their contents, and select them, at once."""
    created = contents.create("demo", OPENING)
    changed = contents.update("demo", created.id, Change(tags=("hours", "New")))
    assert [tag.name for tag in changed.tags] == ["Hours", "New"]
    assert {tag: bool(passages(contents, tag=tag)) for tag in ("Public", "Hours", "New")} == {
        "Public": False,
        "Hours": True,
        "New": True,
    }
    assert_sound("demo")
    assert contents.update("demo", created.id, Change(tags=())).tags == ()
    assert not any(passages(contents, tag=tag) for tag in ("Public", "Hours", "New"))
    assert passages(contents)
    assert_sound("demo")


def test_a_content_may_have_all_its_labels_changed(contents: ContentStore) -> None:
    """The most that a change can be about, a folder and 20 tags for 20 others, is one change."""
    created = contents.create("demo", replace(OPENING, tags=tuple("abcdefghijklmnopqrst")))
    change = Change(
        folder="Web", tags=tuple("0123456789!?-+*/=<>;"), external_id="new", text="New."
    )
    assert len(contents.update("demo", created.id, change).tags) == MAX_TAGS
    assert_sound("demo")


def test_a_removed_content_leaves_nothing(contents: ContentStore) -> None:
    """A removed content is not found, counted or stored, and cannot be removed twice."""
    created = contents.create("demo", replace(OPENING, text=BIG))
    contents.remove("demo", created.id)
    for act in (contents.remove, contents.get):
        with pytest.raises(NotFoundError, match=r"^There is no such content\.$"):
            act("demo", created.id)
    assert contents.find("demo", "hours-1") is None
    assert contents.list_folders("demo") == [Folder(folder_id("demo", "Shop"), "Shop", 0)]
    assert (passages(contents), objects()) == ([], {})
    assert_sound("demo")


# --- texts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("characters", [INLINE_BYTES, INLINE_BYTES + 1, 300_000])
def test_a_text_is_read_back_whatever_its_size(contents: ContentStore, characters: int) -> None:
    """A text that is too big for an item comes back as it was, before and after a move."""
    text = (BIG * 6)[: characters - 1] + "!"
    created = contents.create("demo", replace(OPENING, text=text))
    expected = [passage.text for passage in cut_passages(text)]
    assert [each for _, each in passages(contents)] == expected
    contents.update("demo", created.id, Change(folder="Web", name="Moved"))
    assert [each for _, each in passages(contents, folder="Web")] == expected
    assert_sound("demo")


def test_a_big_text_becomes_small_and_back(contents: ContentStore) -> None:
    """A text may cross the size of an item in either direction."""
    created = contents.create("demo", OPENING)
    for text in (BIG, "Small.", BIG):
        contents.update("demo", created.id, Change(text=text))
        assert [each for _, each in passages(contents)] == [
            each.text for each in cut_passages(text)
        ]
        assert_sound("demo")


@pytest.mark.parametrize("text", [OPENING.text, BIG])
def test_bedrock_finds_each_text_with_what_it_is_of(contents: ContentStore, text: str) -> None:
    """Each text, small or big, is in the bucket as Bedrock's knowledge bases read documents."""
    created = contents.create("demo", replace(OPENING, text=text))
    contents.update("demo", created.id, Change(tags=("Hours",), name="Heures d'été"))
    key, metadata = sorted(objects())
    assert key.startswith(f"demo/{created.id}/")
    assert metadata == f"{key}.metadata.json"
    assert objects()[key].decode() == text
    assert json.loads(objects()[metadata]) == {
        "metadataAttributes": {
            "tenant": "demo",
            "content": created.id,
            "title": "Heures d'été",
            "folder": created.folder.id,
            "tags": [tag_id("demo", "Hours")],
            "external_id": "hours-1",
            "source": "https://shop.example/hours",
        }
    }


def test_metadata_is_no_longer_than_bedrock_reads(contents: ContentStore) -> None:
    """A source that would make the file longer than 10 KB is left out of it."""
    tags = tuple(str(number) for number in range(MAX_TAGS))
    long = Draft(
        name='"' * MAX_NAME,
        text="Text.",
        folder="Shop",
        tags=tags,
        external_id="é" * MAX_EXTERNAL_ID,
        source="\x01" * MAX_SOURCE,
    )
    contents.create("demo", long)
    (metadata,) = (body for key, body in objects().items() if key.endswith(".json"))
    assert len(metadata) <= 10 * 1024
    assert "source" not in json.loads(metadata)["metadataAttributes"]
    assert len(json.loads(metadata)["metadataAttributes"]["tags"]) == MAX_TAGS


def test_an_object_that_nothing_names_is_deleted(contents: ContentStore) -> None:
    """The bucket has the texts that there are and no others, whatever was changed."""
    created = contents.create("demo", OPENING)
    (first,) = (key for key in objects() if key.endswith(".txt"))
    contents.update("demo", created.id, Change(text="New."))
    assert first not in objects()
    contents.update("demo", created.id, Change(text=OPENING.text))
    assert first not in objects()  # a replaced text's key is not used again
    assert len(objects()) == 2
    assert_sound("demo")


@pytest.mark.parametrize("failure", ["unreachable", "reported"])
def test_a_failed_delete_harms_nothing(
    contents: ContentStore,
    before_call: Hook,
    log_lines: Callable[[], list[dict[str, Any]]],
    failure: str,
) -> None:
    """A text that cannot be deleted stays in the bucket, the change holds, and the log says so."""

    def fail() -> object:
        if failure == "unreachable":
            raise EndpointConnectionError(endpoint_url="https://aws.invalid")
        return SimpleNamespace(status_code=200), {"Errors": [{"Code": "InternalError"}]}

    created = contents.create("demo", replace(OPENING, text="Secret words."))
    before_call("s3.DeleteObjects", fail)
    contents.update("demo", created.id, Change(text="New."))
    assert passages(contents) == [("Opening hours", "New.")]
    assert len(objects()) == 4
    (line,) = log_lines()
    assert line["level"] == "WARNING"
    assert line["key"] in objects()
    assert "Secret words" not in str(line)


@pytest.mark.parametrize("operation", ["s3.PutObject", "dynamodb.TransactWriteItems"])
def test_what_fails_on_the_way_has_changed_nothing(
    contents: ContentStore, cut_off: Callable[[str], None], operation: str
) -> None:
    """When AWS is out of reach, nothing is there that was not there before."""
    cut_off(operation)
    with pytest.raises(EndpointConnectionError):
        contents.create("demo", OPENING)
    assert Table("demo").items() == {}


def test_an_answer_that_is_lost_makes_no_second_content(
    contents: ContentStore,
) -> None:
    """A put whose answer was lost is found as it was written, when it is put again."""
    contents.create("demo", replace(OPENING, external_id=None))  # its labels are there

    def lose(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://aws.invalid")

    events = clients().dynamodb.meta.events
    events.register("after-call.dynamodb.TransactWriteItems", lose)
    with pytest.raises(EndpointConnectionError):
        contents.put("demo", OPENING)
    events.unregister("after-call.dynamodb.TransactWriteItems", lose)
    assert contents.put("demo", OPENING)[1] is ContentChange.UNCHANGED
    assert_sound("demo")


def test_a_text_that_cannot_be_read_is_an_error(contents: ContentStore) -> None:
    """A text that is gone fails what asks for it, rather than being left out or tried again."""
    contents.create("demo", replace(OPENING, text=BIG))
    for key in objects():
        clients().s3.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(FailedError) as failure:
        passages(contents)
    assert failure.value.reason is Reason.KNOWLEDGE_UNAVAILABLE


def test_a_text_that_is_replaced_while_it_is_read_is_read_anew(
    contents: ContentStore, before_call: Hook
) -> None:
    """A reader of a text whose object has just gone gets the new one."""
    created = contents.create("demo", replace(OPENING, text=BIG))

    def replaced() -> object:
        contents.update("demo", created.id, Change(text="New."))
        return SimpleNamespace(status_code=404), {"Error": {"Code": "NoSuchKey", "Message": "…"}}

    before_call("s3.GetObject", replaced)
    assert passages(contents) == [("Opening hours", "New.")]


def test_a_text_that_is_removed_while_it_is_read_is_left_out(
    contents: ContentStore, before_call: Hook
) -> None:
    """A reader of a text whose content has just gone goes on with the others."""
    created = contents.create("demo", replace(OPENING, text=BIG))
    contents.create("demo", replace(OPENING, external_id=None, name="Other"))
    before_call("s3.GetObject", lambda: contents.remove("demo", created.id))
    assert {title for title, _ in passages(contents)} == {"Other"}


def test_other_errors_of_the_bucket_are_not_hidden(
    contents: ContentStore, before_call: Hook
) -> None:
    """An error of S3 that says nothing about the text is passed on."""
    contents.create("demo", replace(OPENING, text=BIG))
    slow = SimpleNamespace(status_code=400), {"Error": {"Code": "SlowDown", "Message": "…"}}
    before_call("s3.GetObject", lambda: slow)
    with pytest.raises(ClientError):
        passages(contents)


# --- races ----------------------------------------------------------------------------------------

WRITE = "dynamodb.TransactWriteItems"


@pytest.mark.parametrize(
    "meanwhile",
    [
        Change(name="Theirs"),
        Change(folder="Web"),
        Change(tags=("Hours", "Theirs")),
        Change(text="Theirs."),
        Change(external_id="theirs"),
    ],
)
@pytest.mark.parametrize(
    "mine",
    [Change(name="Mine"), Change(folder="Mine"), Change(tags=("Mine",)), Change(text=BIG)],
)
def test_a_lost_race_is_run_again(
    contents: ContentStore, before_call: Hook, mine: Change, meanwhile: Change
) -> None:
    """Of two changes at once both happen, the later one over the earlier; nothing counts twice."""
    created = contents.create("demo", OPENING)
    before_call(WRITE, lambda: contents.update("demo", created.id, meanwhile) and None)
    after = contents.update("demo", created.id, mine)
    assert after.revision == 3
    for change in (mine, meanwhile):
        field = next(name for name in Change.__slots__ if getattr(change, name) is not None)
        if change is meanwhile and getattr(mine, field) is not None:
            continue
        wanted = getattr(change, field)
        match field:
            case "folder":
                assert after.folder.name == wanted
            case "tags":
                assert tuple(tag.name for tag in after.tags) == wanted
            case "text":
                assert after.characters == len(wanted)
            case _:
                assert getattr(after, field) == wanted
    assert contents.get("demo", created.id) == after
    assert_sound("demo")


def test_two_puts_at_once_make_one_content(contents: ContentStore, before_call: Hook) -> None:
    """A put of a content that another put has just added changes it, and adds no second one."""
    theirs = replace(OPENING, name="Theirs")
    before_call(WRITE, lambda: contents.put("demo", theirs) and None)
    mine, outcome = contents.put("demo", OPENING)
    assert outcome is ContentChange.UPDATED
    assert contents.list_contents("demo", None, 10, None).items == (mine,)
    assert (mine.name, mine.revision) == ("Opening hours", 2)
    assert_sound("demo")


def test_two_equal_puts_at_once_write_once(contents: ContentStore, before_call: Hook) -> None:
    """A put equal to another that has just been made changes nothing."""
    before_call(WRITE, lambda: contents.put("demo", OPENING) and None)
    assert contents.put("demo", OPENING)[1] is ContentChange.UNCHANGED
    assert_sound("demo")


@pytest.mark.parametrize("moment", [WRITE, "s3.PutObject"])
@pytest.mark.parametrize("change", [Change(name="Mine"), Change(text="Mine.")])
def test_a_content_that_is_removed_meanwhile_stays_removed(
    contents: ContentStore, before_call: Hook, change: Change, moment: str
) -> None:
    """A change comes too late for a content that is gone, and leaves nothing in the bucket."""
    created = contents.create("demo", OPENING)
    before_call(moment, lambda: contents.remove("demo", created.id))
    with pytest.raises(NotFoundError):
        contents.update("demo", created.id, change)
    assert_sound("demo")


def test_a_text_that_is_replaced_meanwhile_leaves_nothing_in_the_bucket(
    contents: ContentStore, before_call: Hook
) -> None:
    """An object written beside a text that has just gone is deleted with it."""
    created = contents.create("demo", OPENING)
    meanwhile = Change(text="Theirs.")
    before_call("s3.PutObject", lambda: contents.update("demo", created.id, meanwhile) and None)
    assert contents.update("demo", created.id, Change(name="Mine")).revision == 3
    assert passages(contents) == [("Mine", "Theirs.")]
    assert_sound("demo")


def test_a_content_is_removed_though_it_is_changed_meanwhile(
    contents: ContentStore, before_call: Hook
) -> None:
    """A removal takes the content as it is by then, from the folder that it is in by then."""
    created = contents.create("demo", OPENING)
    meanwhile = Change(folder="Web", tags=("x",), text="New.")
    before_call(WRITE, lambda: contents.update("demo", created.id, meanwhile) and None)
    contents.remove("demo", created.id)
    assert Table("demo").counts() == {}
    assert_sound("demo")


def test_a_content_that_moves_while_it_is_read_is_found(
    contents: ContentStore, calls: list[Call], before_call: Hook
) -> None:
    """A reader with a folder that the content has left since looks again."""
    created = contents.create("demo", OPENING)
    calls.clear()

    def at_the_second_read() -> None:
        before_call(
            "dynamodb.BatchGetItem",
            lambda: contents.update("demo", created.id, Change(folder="Web")) and None,
        )

    before_call("dynamodb.BatchGetItem", at_the_second_read)
    assert contents.get("demo", created.id).folder.name == "Web"


def test_a_text_and_a_content_of_different_times_are_read_again(contents: ContentStore) -> None:
    """A change that is met between two items of one read does not bring an old text back."""
    created = contents.create("demo", OPENING)
    contents.update("demo", created.id, Change(text="New."))

    def be_late(answer: dict[str, Any]) -> bool:
        for item in answer["Responses"][TABLE]:
            if item["sk"]["S"].startswith("text#"):
                item |= {"text": {"S": OPENING.text}, "revision": {"N": "1"}}
                return True
        return False

    change_answer("dynamodb.BatchGetItem", be_late)
    contents.update("demo", created.id, Change(folder="Web"))
    assert passages(contents) == [("Opening hours", "New.")]


def test_a_content_that_gives_its_external_id_up_while_it_is_read_is_not_found(
    contents: ContentStore, before_call: Hook
) -> None:
    """A reader of an external id does not get a content that has another by then."""
    created = contents.create("demo", OPENING)

    def before_the_second_read() -> None:
        before_call(
            "dynamodb.BatchGetItem",
            lambda: contents.update("demo", created.id, Change(external_id="new")) and None,
        )

    before_call("dynamodb.BatchGetItem", before_the_second_read)
    assert contents.find("demo", "hours-1") is None


@pytest.mark.parametrize(
    "codes",
    [
        ("None", "None", "TransactionConflict"),
        ("TransactionConflict",),
        ("None", "ThrottlingError"),
    ],
)
def test_a_transaction_that_meets_another_is_repeated(
    contents: ContentStore, before_call: Hook, no_waits: list[float], codes: tuple[str, ...]
) -> None:
    """DynamoDB cancels one of two transactions at once, which is sent again after a random wait."""
    before_call(WRITE, lambda: canceled(*codes))
    no_waits.clear()
    created = contents.create("demo", OPENING)
    (wait,) = no_waits
    assert 0 <= wait <= content_store.CONFLICT_WAITS[0]
    assert contents.get("demo", created.id) == created
    assert_sound("demo")


def test_a_transaction_that_meets_others_forever_fails(
    contents: ContentStore, no_waits: list[float]
) -> None:
    """After a bounded number of conflicts the caller is told to come back; nothing is left."""
    tried = []

    def conflict() -> object:
        tried.append(1)
        return canceled("None", "TransactionConflict")

    answer_with(WRITE, conflict)
    no_waits.clear()
    with pytest.raises(UnavailableError, match=r"^Storage is busy\. Try again in a moment\.$"):
        contents.create("demo", OPENING)
    assert len(tried) - 1 == len(no_waits) == len(content_store.CONFLICT_WAITS)
    assert sum(no_waits) <= sum(content_store.CONFLICT_WAITS) < 5
    assert Table("demo").items() == {}
    assert objects() == {}


def test_a_race_that_is_lost_forever_fails(contents: ContentStore) -> None:
    """After a bounded number of lost races the caller is told to come back."""
    created = contents.create("demo", OPENING)
    end = answer_with(WRITE, lambda: canceled("ConditionalCheckFailed", "None"))
    for act in (
        lambda: contents.update("demo", created.id, Change(text="New.")),
        lambda: contents.remove("demo", created.id),
    ):
        with pytest.raises(UnavailableError):
            act()
    end()
    assert contents.get("demo", created.id) == created
    assert_sound("demo")


def test_a_transaction_that_is_refused_is_not_repeated(
    contents: ContentStore, before_call: Hook
) -> None:
    """A fault of a transaction itself is an error at once."""
    before_call(WRITE, lambda: canceled("None", "ValidationError"))
    with pytest.raises(ClientError):
        contents.create("demo", OPENING)


def test_what_dynamodb_has_no_time_for_is_read_again(
    contents: ContentStore, before_call: Hook, no_waits: list[float]
) -> None:
    """A read is complete though DynamoDB gives it in pieces, and refused if it gives nothing."""
    created = contents.create("demo", OPENING)
    keys = [{"pk": {"S": "demo"}, "sk": {"S": f"id#{created.id}"}}]
    nothing = (
        SimpleNamespace(status_code=200),
        {"Responses": {}, "UnprocessedKeys": {TABLE: {"Keys": keys, "ConsistentRead": True}}},
    )
    before_call("dynamodb.BatchGetItem", lambda: nothing)
    assert contents.get("demo", created.id) == created
    answer_with("dynamodb.BatchGetItem", lambda: nothing)
    no_waits.clear()
    with pytest.raises(UnavailableError):
        contents.get("demo", created.id)
    assert no_waits == list(dynamodb.BATCH_WAITS)


# --- lists ----------------------------------------------------------------------------------------


def test_folders_are_listed_by_name(contents: ContentStore) -> None:
    """A tenant's folders come in order of their names, whatever their case, with their counts."""
    for name in ("zoo", "Ärzte", "Shop", "shop", "apples"):
        contents.create("demo", replace(OPENING, external_id=None, folder=name))
    listed = [(folder.name, folder.contents) for folder in contents.list_folders("demo")]
    assert listed == [("apples", 1), ("Shop", 2), ("zoo", 1), ("Ärzte", 1)]
    assert contents.list_folders("other") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 100])
def test_contents_are_listed_page_by_page(
    contents: ContentStore, set_clock: SetClock, limit: int
) -> None:
    """Pages have each content once, those of a folder oldest first, and the number of all."""
    made: dict[str, list[Content]] = {"Shop": [], "Web": []}
    for number in range(7):
        folder = "Web" if number % 3 == 0 else "Shop"
        made[folder].append(
            contents.create("demo", replace(OPENING, external_id=None, folder=folder))
        )
        set_clock.advance(seconds=1)

    def walk(folder: str | None) -> Iterator[Content]:
        after = None
        while True:
            page = contents.list_contents("demo", folder, limit, after)
            assert len(page.items) <= limit
            assert page.total == (7 if folder is None else len(expected))
            yield from page.items
            after = page.after
            if after is None:
                return
            assert page.items

    for expected in made.values():
        assert list(walk(expected[0].folder.id)) == expected
    assert sorted(content.id for content in walk(None)) == sorted(
        content.id for both in made.values() for content in both
    )


def test_a_page_may_end_early(contents: ContentStore) -> None:
    """Where DynamoDB gives a megabyte and says that there is more, so does the page."""
    made = [contents.create("demo", replace(OPENING, external_id=None)) for _ in range(3)]

    def cut_short(answer: dict[str, Any]) -> bool:
        del answer["Items"][1:]
        last = answer["Items"][0]
        answer["LastEvaluatedKey"] = {"pk": last["pk"], "sk": last["sk"]}
        return True

    change_answer("dynamodb.Query", cut_short)
    first = contents.list_contents("demo", None, 10, None)
    assert len(first.items) == 1
    rest = contents.list_contents("demo", None, 10, first.after)
    assert {*first.items, *rest.items} == {*made}
    assert (len(rest.items), rest.after) == (2, None)


def test_an_empty_tenant_has_an_empty_page(contents: ContentStore) -> None:
    """Where nothing was ever added there are no contents, and that is no error."""
    assert contents.list_contents("demo", None, 10, None) == Page((), None, 0)


def test_an_unknown_folder_is_not_found(contents: ContentStore) -> None:
    """A page of a folder that is not there says so; an empty one has an empty page."""
    created = contents.create("demo", OPENING)
    for unknown in (NO_FOLDER, "", "Shop", "x" * 3_000, created.tags[0].id):
        with pytest.raises(NotFoundError, match=r"^There is no such folder\.$"):
            contents.list_contents("demo", unknown, 10, None)
    contents.remove("demo", created.id)
    page = contents.list_contents("demo", created.folder.id, 10, None)
    assert page == Page((), None, 0)


@pytest.mark.parametrize(
    "after",
    ["", "x", "~", "#", NO_FOLDER, f"{NO_FOLDER}#x", f"{NO_FOLDER}#{NO_FOLDER}#", "x" * 9_000],
)
def test_what_no_page_has_said_is_refused(contents: ContentStore, after: str) -> None:
    """A page goes on after what the page before has said, and after nothing else."""
    created = contents.create("demo", OPENING)
    for folder in (None, created.folder.id):
        with pytest.raises(InvalidRequestError, match=r"^after: "):
            contents.list_contents("demo", folder, 10, after)
    with pytest.raises(InvalidRequestError, match=r"^after: "):
        contents.list_contents("demo", created.folder.id, 10, f"{NO_FOLDER}#{created.id}")


def test_labels_that_are_there_are_known(contents: ContentStore, calls: list[Call]) -> None:
    """Of many ids those of folders and of tags are known, each only as what it is."""
    created = contents.create("demo", OPENING)
    folder, tag = created.folder.id, created.tags[0].id
    many = [new_id() for _ in range(150)]
    calls.clear()
    assert contents.find_labels("demo", [folder, tag, *many, "Shop", ""], [tag, folder]) == {
        folder,
        tag,
    }
    assert [call.operation for call in calls] == ["dynamodb.BatchGetItem"] * 2
    assert contents.find_labels("demo", [tag], [folder]) == set()
    assert contents.find_labels("demo", [], []) == set()


# --- selections -----------------------------------------------------------------------------------


def test_candidates_are_passages_in_order(contents: ContentStore) -> None:
    """The passages of a content come together, numbered, with what they are from."""
    expected = {}
    for number in range(25):
        draft = replace(OPENING, external_id=f"e-{number}", text=f"Number {number}. {BIG[:3_000]}")
        created = contents.create("demo", draft if number % 5 else replace(draft, text=BIG))
        origin = Origin(
            content=created.id,
            title="Opening hours",
            folder=created.folder.id,
            external_id=f"e-{number}",
            source="https://shop.example/hours",
        )
        expected[created.id] = [
            (origin, passage) for passage in cut_passages(draft.text if number % 5 else BIG)
        ]
    found = list(contents.read_candidates(contents.select("demo", [], [])))
    in_order = list(dict.fromkeys(candidate.origin.content for candidate in found))
    assert set(in_order) == set(expected)
    assert [(candidate.origin, candidate.passage) for candidate in found] == [
        each for content in in_order for each in expected[content]
    ]


def test_a_selection_is_of_any_folder_and_any_tag(contents: ContentStore) -> None:
    """Of several folders a content is in one, of several tags it has one at least."""
    for name, folder, tags in (
        ("a", "F", ("x",)),
        ("b", "F", ("y",)),
        ("c", "G", ("x", "y")),
        ("d", "G", ()),
        ("e", "H", ("z",)),
    ):
        contents.create("demo", Draft(name=name, text="Text.", folder=folder, tags=tags))

    def names(folders: str, tags: str) -> str:
        selection = contents.select(
            "demo",
            [folder_id("demo", name) for name in folders],
            [tag_id("demo", name) for name in tags],
        )
        found = contents.read_candidates(selection)
        return "".join(sorted(candidate.origin.title for candidate in found))

    assert names("", "") == "abcde"
    assert names("F", "") == "ab"
    assert names("FG", "") == "abcd"
    assert names("", "x") == "ac"
    assert names("", "xyz") == "abce"
    assert names("G", "x") == "c"
    assert names("FH", "xz") == "ae"
    assert names("H", "x") == ""
    assert names("Q", "") == names("", "q") == ""


@pytest.mark.parametrize("bad", ["", "x", "Shop", "x" * 3_000])
def test_what_is_no_id_selects_nothing(contents: ContentStore, bad: str) -> None:
    """A selection by what cannot be an id is of nothing, rather than of everything."""
    contents.create("demo", OPENING)
    for folders, tags in (([bad], []), ([], [bad])):
        selection = contents.select("demo", folders, tags)
        assert list(contents.read_candidates(selection)) == []
        conditions, _ = items.select(selection, items.vectors_key)
        assert bool(conditions) == bool(tags)


def test_passages_are_read_a_few_contents_at_a_time(
    contents: ContentStore, calls: list[Call]
) -> None:
    """A reader that needs the first contents' passages alone reads and cuts no others."""
    created = [
        contents.create("demo", replace(OPENING, external_id=f"e-{number}", name=f"{number}"))
        for number in range(2 * content_store.READERS)
    ]
    other = contents.create("demo", replace(OPENING, external_id="other", folder="Other"))
    places = [(other.folder.id, other.id), (NO_FOLDER, created[0].id)]
    places += [(each.folder.id, each.id) for each in created]
    selection = contents.select("demo", [created[0].folder.id], [tag_id("demo", "Public")])
    calls.clear()
    read = contents.read_passages(selection, places)
    assert next(read) is None
    assert next(read) is None
    first = next(read)
    assert first is not None
    assert (first[0].title, first[1]) == ("0", cut_passages(OPENING.text))
    assert [call.operation for call in calls] == ["dynamodb.BatchGetItem"]
    assert [each and each[0].title for each in read] == [each.name for each in created[1:]]


@pytest.mark.parametrize(
    "change",
    [
        lambda store, there: store.update("demo", there.id, Change(name="New")),
        lambda store, there: store.update("demo", there.id, Change(text="New.")),
        lambda store, there: store.update("demo", there.id, Change(folder="New")),
        lambda store, there: store.update("demo", there.id, Change(tags=("New",))),
        lambda store, there: store.update("demo", there.id, Change(source="new")),
        lambda store, there: store.update("demo", there.id, Change(external_id="new")),
        lambda store, there: store.remove("demo", there.id),
        lambda store, _: store.create("demo", replace(OPENING, external_id=None)),
    ],
)
def test_a_version_changes_with_what_is_selected(
    contents: ContentStore, change: Callable[[ContentStore, Content], object]
) -> None:
    """Each change gives a new version to what it is about, and leaves that of all others."""
    there = contents.create("demo", OPENING)
    contents.create(
        "demo", replace(OPENING, external_id="other", folder="Other", tags=("Elsewhere",))
    )
    contents.create("other", OPENING)
    concerned: list[dict[str, str]] = [{}, {"folder": "Shop"}, {"tag": "Public"}]
    others = [{"folder": "Other"}, {"tag": "Elsewhere"}, {"folder": "Never"}]
    before = [version(contents, **each) for each in (*concerned, *others)]
    foreign = contents.select("other", [], []).version
    change(contents, there)
    after = [version(contents, **each) for each in (*concerned, *others)]
    changed = [old != new for old, new in zip(before, after, strict=True)]
    assert changed == [True, True, True, False, False, False]
    assert contents.select("other", [], []).version == foreign


def test_a_version_never_comes_back(contents: ContentStore) -> None:
    """A folder that was empty in between does not have a version that it had before."""
    seen = [version(contents, folder="Shop")]
    for _ in range(3):
        created = contents.create("demo", OPENING)
        seen.append(version(contents, folder="Shop"))
        contents.remove("demo", created.id)
        seen.append(version(contents, folder="Shop"))
    assert len(set(seen)) == len(seen)


def test_versions_of_several_folders_do_not_add_up(contents: ContentStore) -> None:
    """A selection of two folders has another version when either of them changes."""
    folders = [folder_id("demo", name) for name in ("A", "B")]
    seen = set()
    for name in ("A", "B", "A", "A", "B"):
        contents.create("demo", Draft(name="x", text="Text.", folder=name))
        seen.add(contents.select("demo", folders, []).version)
    assert len(seen) == 5


def test_a_version_is_read_once(contents: ContentStore, calls: list[Call]) -> None:
    """The version of a knowledge base is one consistent read for each question."""
    contents.create("demo", OPENING)
    calls.clear()
    folders = [folder_id("demo", str(number)) for number in range(100)]
    contents.select("demo", folders, [tag_id("demo", "Public")])
    (call,) = calls
    assert call.operation == "dynamodb.BatchGetItem"
    assert call.params["RequestItems"][TABLE]["ConsistentRead"] is True


def test_a_content_that_is_moved_during_the_reading_is_given_once(
    contents: ContentStore,
) -> None:
    """A content that was read in one folder, and moves to one that is read next, is given once."""
    names = {folder_id("demo", name): name for name in ("A", "B")}
    first, second = sorted(names)
    content = contents.create("demo", replace(OPENING, folder=names[first]))
    found = contents.read_candidates(contents.select("demo", [first, second], []))
    read = [next(found)]
    contents.update("demo", content.id, Change(folder=names[second]))
    read += found
    assert [candidate.passage for candidate in read] == cut_passages(OPENING.text)


def test_a_selection_by_tags_does_not_read_without_bound(
    contents: ContentStore, monkeypatch: pytest.MonkeyPatch, calls: list[Call]
) -> None:
    """Contents with other tags are read up to a bound: above it the owner is told what to do."""
    for number in range(5):
        contents.create("demo", Draft(name="x", text=f"{number}.", folder=f"{number % 2}"))
    contents.create("demo", replace(OPENING, external_id=None))
    monkeypatch.setattr(content_store, "MAX_LEFT_OUT", 5)
    assert len(passages(contents, tag="Public")) == 1
    monkeypatch.setattr(content_store, "MAX_LEFT_OUT", 4)
    calls.clear()
    with pytest.raises(SelectionTooLargeError, match=r"Select fewer folders, or change to"):
        passages(contents, tag="Public")
    assert [call.operation for call in calls] == ["dynamodb.BatchGetItem", "dynamodb.Query"]
    folders = [folder_id("demo", str(number)) for number in range(2)]
    assert len(list(contents.read_candidates(contents.select("demo", folders, [])))) == 5
    tags = [tag_id("demo", "Public")]
    with pytest.raises(SelectionTooLargeError):  # over all folders together
        list(contents.read_candidates(contents.select("demo", folders, tags)))


def test_a_selection_has_at_most_a_hundred_folders_or_tags(contents: ContentStore) -> None:
    """More folders or tags than one read and one query take are refused, with what to do."""
    many = [new_id() for _ in range(101)]
    for folders, tags in ((many, []), ([], many)):
        with pytest.raises(SelectionTooLargeError, match=r"Select fewer, or none for all"):
            contents.select("demo", folders, tags)
    assert list(contents.read_candidates(contents.select("demo", [], many[:100]))) == []


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("name", ""),
        ("name", " \n"),
        ("name", "x" * (MAX_NAME + 1)),
        ("name", "\ud800"),
        ("text", ""),
        ("text", " \n\t"),
        ("text", "x" * (MAX_CHARACTERS + 1)),
        ("text", "a\udfff"),
        ("folder", " "),
        ("folder", "x" * (MAX_NAME + 1)),
        ("tags", ("a", " ")),
        ("tags", ("x" * (MAX_NAME + 1),)),
        ("tags", tuple(str(number) for number in range(MAX_TAGS + 1))),
        ("external_id", ""),
        ("external_id", "x" * (MAX_EXTERNAL_ID + 1)),
        ("external_id", "😀" * MAX_EXTERNAL_ID),
        ("external_id", "\ud800"),
        ("source", " "),
        ("source", "x" * (MAX_SOURCE + 1)),
        ("fingerprint", ""),
        ("fingerprint", "x" * (MAX_NAME + 1)),
    ],
)
def test_a_bad_field_is_named(
    contents: ContentStore, calls: list[Call], field: str, bad: object
) -> None:
    """A field that cannot be stored is refused by name, before anything is read or written."""
    values: dict[str, Any] = {field: bad}
    for act in (
        lambda: contents.create("demo", replace(OPENING, **values)),
        lambda: contents.put("demo", replace(OPENING, **values)),
        lambda: contents.update("demo", NO_FOLDER, Change(**values)),
    ):
        with pytest.raises(UnprocessableError) as refused:
            act()
        assert refused.value.field == field
        assert str(refused.value).startswith(f"{field}: ")
    assert calls == []


def test_the_longest_of_everything_is_stored(contents: ContentStore) -> None:
    """A content with as much of everything as there may be is stored, and found."""
    longest = Draft(
        name="n" * MAX_NAME,
        text="é" * MAX_CHARACTERS,
        folder="f" * MAX_NAME,
        tags=tuple(f"{number:02}" + "😀" * (MAX_NAME - 2) for number in range(MAX_TAGS)),
        external_id="😀" * 250,
        source="s" * MAX_SOURCE,
        fingerprint="p" * MAX_NAME,
    )
    created, _ = contents.put("demo", longest)
    assert contents.get("demo", "😀" * 250) == created
    assert (created.characters, len(created.tags)) == (MAX_CHARACTERS, MAX_TAGS)
    assert_sound("demo")


@pytest.mark.parametrize("text", ["{{step1}} [Name] <b>", "a\x00b", "a\r\nb  ", "\u2028é😀"])
def test_texts_and_names_stay_as_they_are(contents: ContentStore, text: str) -> None:
    """Nothing in a text means anything to the store."""
    contents.create("demo", replace(OPENING, text=text, source=text, external_id=text))
    (stored,) = (body for key, body in objects().items() if key.endswith(".txt"))
    assert stored.decode() == text
    assert contents.get("demo", text).source == text


# --- everything at once ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_whatever_is_done_the_counts_are_right(
    contents: ContentStore, set_clock: SetClock, seed: int
) -> None:
    """After any sequence of changes the store has what a simple model of it has."""
    random = seeded(seed)
    model: dict[str, dict[str, Any]] = {}

    def fields() -> dict[str, Any]:
        return {
            "name": random.choice("nm"),
            "text": random.choice(["One.", "Two.", BIG]),
            "folder": random.choice(["F", "f", "G", "H"]),
            "tags": tuple(random.sample("xyzXY", random.randrange(4))),
        }

    def seen(given: dict[str, Any]) -> dict[str, Any]:
        tags = {tag.casefold() for tag in given["tags"]}
        return {**given, "folder": given["folder"].casefold(), "tags": tags}

    for _ in range(25):
        set_clock.advance(seconds=1)
        external_id = random.choice("abc")
        holder = next((i for i, has in model.items() if has["external_id"] == external_id), None)
        match random.randrange(5):
            case 0:
                draft = Draft(**fields(), external_id=external_id)
                if holder is not None:
                    with pytest.raises(ConflictError):
                        contents.create("demo", draft)
                    continue
                made = contents.create("demo", draft)
                model[made.id] = seen({**fields_of(draft), "external_id": external_id})
            case 1:
                draft = Draft(**fields(), external_id=external_id)
                put, outcome = contents.put("demo", draft)
                assert (outcome is ContentChange.ADDED) == (holder is None)
                assert holder in {None, put.id}
                wanted = seen({**fields_of(draft), "external_id": external_id})
                assert (outcome is ContentChange.UNCHANGED) == (model.get(put.id) == wanted)
                model[put.id] = wanted
            case 2 | 3 if model:
                changed = random.choice(list(model))
                given = fields()
                some = dict(random.sample(sorted(given.items(), key=str), random.randrange(5)))
                contents.update("demo", changed, Change(**some))
                model[changed] |= {name: seen({**given, **some})[name] for name in some}
            case _ if model:
                removed = random.choice(list(model))
                contents.remove("demo", removed)
                del model[removed]
    found = {
        content.id: {
            "name": content.name,
            "folder": content.folder.name.casefold(),
            "tags": {tag.name.casefold() for tag in content.tags},
            "external_id": content.external_id,
        }
        for content in contents.list_contents("demo", None, 100, None).items
    }
    assert found == {
        each: {name: value for name, value in has.items() if name != "text"}
        for each, has in model.items()
    }
    folders = {folder.name.casefold(): folder.contents for folder in contents.list_folders("demo")}
    assert {name: count for name, count in folders.items() if count} == Counter(
        has["folder"] for has in model.values()
    )
    for tag in "xyz":
        assert {
            candidate.origin.content
            for candidate in contents.read_candidates(
                contents.select("demo", [], [tag_id("demo", tag)])
            )
        } == {each for each, has in model.items() if tag in has["tags"]}
    assert_sound("demo")


def fields_of(draft: Draft) -> dict[str, Any]:
    """Return the model's fields of a draft."""
    return {name: getattr(draft, name) for name in ("name", "text", "folder", "tags")}


def test_contents_have_a_cap(contents: ContentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """One content too many is refused with the cap and a way out; changes and removals go on."""
    monkeypatch.setattr(items, "MAX_CONTENTS", 2)
    first = contents.create("demo", replace(OPENING, external_id=None))
    contents.create("demo", OPENING)
    with pytest.raises(ConflictError) as refused:
        contents.create("demo", replace(OPENING, external_id="other"))
    assert str(refused.value) == (
        "A tenant has at most 100,000 contents: remove some of them first."
    )
    contents.update("demo", first.id, Change(name="Another name"))
    contents.remove("demo", first.id)
    contents.create("demo", replace(OPENING, external_id="other"))
    assert_sound("demo")
    contents.create("other", OPENING)


@pytest.mark.parametrize("kind", ["folders", "tags"])
def test_labels_have_a_cap(
    contents: ContentStore, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """One folder or tag too many is refused with the cap, and the known ones stay usable."""
    monkeypatch.setattr(content_store, "MAX_LABELS", 2)
    plain = Draft(name="A", text="B", folder="One")

    def label(name: str) -> Draft:
        return replace(plain, folder=name) if kind == "folders" else replace(plain, tags=(name,))

    made = contents.create("demo", label("One"))
    contents.create("demo", label("Two"))
    with pytest.raises(ConflictError, match=f"at most 2 {kind}, empty ones included"):
        contents.create("demo", label("Three"))
    change = Change(folder="Three") if kind == "folders" else Change(tags=("Three",))
    with pytest.raises(ConflictError, match=f"at most 2 {kind}"):
        contents.update("demo", made.id, change)
    contents.create("demo", label("two"))
    assert_sound("demo")
    contents.create("other", label("Three"))


def test_a_known_label_costs_no_read(contents: ContentStore, calls: list[Call]) -> None:
    """A new folder costs a query and a second transaction; later contents in it cost neither."""
    contents.create("demo", OPENING)
    calls.clear()
    contents.create("demo", replace(OPENING, external_id=None))
    assert [call.operation for call in calls if call.operation.startswith("dynamodb")] == [WRITE]
