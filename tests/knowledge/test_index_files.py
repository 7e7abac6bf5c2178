"""Indexes in the contents' bucket, built by one worker for all."""

import errno
import json
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from afterword import clock
from afterword.errors import UnavailableError
from afterword.knowledge import (
    Change,
    Draft,
    folder_id,
    index_cache,
    index_files,
    lexical,
    stop_words,
    words,
)
from afterword.knowledge.index_cache import IndexCache
from afterword.knowledge.index_files import IndexFiles
from afterword.knowledge.lexical import LexicalRanking, Limits, MemoryIndexes
from afterword.knowledge.passages import cut_passages
from afterword.knowledge.ranking import Candidate, Ranked, Selection, SelectionTooLargeError
from afterword.knowledge.store import ContentStore
from afterword.runtime.clients import clients
from afterword.runtime.payloads import Payloads
from afterword.services import services
from tests.conftest import Call, SetClock
from tests.harness.deployment import REFERENCES, Deployment
from tests.harness.stand_in_aws import read_object_keys
from tests.knowledge.test_questions import SHOPS

BUCKET = REFERENCES["ContentsBucket"]
TEXTS = {
    "Returns": "You can return what you bought within thirty days. We refund the price you paid.",
    "Livraison": "Les commandes sont expédiées par la poste et arrivent trois jours après.",
    "東京": "首都は東京です。",
}
PAGE = (
    """# Prices

| Item | Price |
| --- | --- |
| Lamp | 40 |

Ask us. We answer e.g. on Sundays! """
    + "A longer paragraph of some words. " * 40
)
QUESTIONS = ("How do I get a refund?", "Quand ma commande arrive-t-elle ?", "東京はどこですか", "x")


def full_database() -> sqlite3.Error:
    """Return SQLite's error of a disk that is full."""
    with sqlite3.connect(":memory:") as connection:
        connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError) as full:
            connection.execute("CREATE TABLE one (id)")
    return full.value


@pytest.fixture
def contents(aws: None, monkeypatch: pytest.MonkeyPatch) -> ContentStore:  # noqa: ARG001 - its effect
    """Return a store with TEXTS in the folder Shop; any index is worth to be stored."""
    monkeypatch.setattr(index_files, "MIN_STORED", 1)
    for name, text in TEXTS.items():
        services().contents.create("demo", Draft(name=name, text=text, folder="Shop"))
    return services().contents


def payloads() -> Payloads:
    """Return the bucket of contents."""
    return Payloads(lambda: clients().s3, BUCKET)


def worker(contents: ContentStore) -> LexicalRanking:
    """Return the ranking of a new process."""
    return LexicalRanking(IndexFiles(contents, payloads()))


def select(contents: ContentStore, tenant: str = "demo", *folders: str) -> Selection:
    """Return the selection of some folders, or of all contents."""
    return contents.select(tenant, [folder_id(tenant, each) for each in folders], [])


def stored() -> list[str]:
    """Return the keys of the stored indexes."""
    return [key for key in read_object_keys("ContentsBucket") if key.startswith("_indexes/")]


def ask(ranking: LexicalRanking, selection: Selection) -> list[list[Ranked]]:
    """Return the answers to QUESTIONS."""
    return [ranking.rank(question, selection, 5) for question in QUESTIONS]


def titles(ranking: LexicalRanking, selection: Selection, question: str = "refund") -> list[str]:
    """Return the titles of the passages of a question."""
    return [each.origin.title for each in ranking.rank(question, selection, 5)]


def lock_of(selection: Selection) -> int:
    """Return which of two locks a selection has."""
    return hash(index_cache._key(selection)) % 2  # noqa: SLF001 - hashes of texts differ by process


def before(operation: str, happen: Callable[[], object]) -> None:
    """Let something happen once, right before an operation of S3."""
    left = [happen]

    def hook(**_: object) -> None:
        if left:
            left.pop()()

    events: Any = clients().s3.meta.events
    events.register(f"before-call.s3.{operation}", hook)


def test_one_worker_builds_and_the_others_fetch(contents: ContentStore, calls: list[Call]) -> None:
    """A second worker reads no content, and finds what an index in its memory would find."""
    selection = select(contents)
    built = ask(worker(contents), selection)
    calls.clear()
    fetched = ask(worker(contents), selection)
    assert [call.operation for call in calls] == ["s3.GetObject"]
    in_memory = LexicalRanking(MemoryIndexes(contents.read_candidates))
    assert built == fetched == ask(in_memory, selection)
    assert [bool(answer) for answer in fetched] == [True, True, True, False]


def test_another_format_has_another_number() -> None:
    """Files of the same texts are the same, or FORMAT is another number than before."""
    texts = [text for shop in SHOPS.values() for text in shop.pages]
    passages = [passage for text in (*texts, PAGE) for passage in cut_passages(text)]
    terms = [words.index_terms((each.heading, each.text)) for each in passages]
    lists = sorted(Path(str(stop_words.__file__)).parent.iterdir())
    parts = [
        lexical._SCHEMA,  # noqa: SLF001 - the tables of a file
        repr(lexical.IN_FILE),  # which refusals are of
        *map(repr, passages),
        *map(repr, terms),
        *(each.read_text() for each in lists if each.name.islower() and each.suffix == ".txt"),
        version("PyStemmer"),
    ]
    digest = sha256("\n".join(parts).encode()).hexdigest()[:12]
    assert (index_files.FORMAT, digest) == (1, "859bb48d5783")


def test_an_index_of_few_passages_is_not_stored(
    contents: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index that is built in a moment takes no write of the bucket."""
    monkeypatch.setattr(index_files, "MIN_STORED", len(TEXTS) + 1)
    assert titles(worker(contents), select(contents)) == ["Returns"]
    assert stored() == []


def test_each_selection_has_a_file_of_its_own(contents: ContentStore) -> None:
    """Tenants, folders and tags have files of their own, under the tenant's name."""
    contents.create("other", Draft(name="Gold", text="A refund in gold.", folder="Shop"))
    ranking = worker(contents)
    assert titles(ranking, select(contents)) == ["Returns"]
    assert titles(ranking, select(contents, "other")) == ["Gold"]
    assert titles(ranking, select(contents, "demo", "Shop")) == ["Returns"]
    assert titles(ranking, contents.select("demo", [], [folder_id("demo", "Shop")])) == []
    keys = stored()
    assert len(keys) == len({key.rpartition("/")[0] for key in keys}) == 3
    assert sorted(key.split("/")[1] for key in keys) == ["demo", "demo", "other"]


@pytest.mark.parametrize("change", [Change(text="Gone."), Change(name="Gone"), Change(tags=("a",))])
def test_a_change_deletes_the_tenants_indexes(contents: ContentStore, change: Change) -> None:
    """A text or a name that was changed is in no stored index, and others' indexes stay."""
    contents.create("other", Draft(name="Gold", text="A refund in gold.", folder="Shop"))
    ranking = worker(contents)
    titles(ranking, select(contents))
    titles(ranking, select(contents, "demo", "Shop"))
    titles(ranking, select(contents, "other"))
    (content, *_) = contents.list_contents("demo", None, 5, None).items
    contents.update("demo", content.id, change)
    assert [key.split("/")[1] for key in stored()] == ["other"]


def test_a_removal_deletes_the_tenants_indexes(contents: ContentStore) -> None:
    """The text of a removed content is in no stored index."""
    titles(worker(contents), select(contents))
    (content, *_) = contents.list_contents("demo", None, 5, None).items
    contents.remove("demo", content.id)
    assert stored() == []


def test_a_change_stands_when_no_index_can_be_deleted(
    contents: ContentStore,
    cut_off: Callable[[str], None],
    log_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    """With the bucket's list out of reach a content is removed all the same, and the log tells."""
    titles(worker(contents), select(contents))
    cut_off("s3.ListObjectsV2")
    (content, *_) = contents.list_contents("demo", None, 5, None).items
    contents.remove("demo", content.id)
    assert "could not delete indexes of contents" in [line["message"] for line in log_lines()]


def test_the_builder_deletes_older_files(contents: ContentStore) -> None:
    """A new content leaves the older index to the next builder, who deletes that alone."""
    titles(worker(contents), select(contents))
    titles(worker(contents), select(contents, "demo", "Shop"))
    contents.create("demo", Draft(name="Refunds", text="A refund takes days.", folder="Shop"))
    assert len(stored()) == 2
    assert sorted(titles(worker(contents), select(contents))) == ["Refunds", "Returns"]
    assert len(stored()) == 2
    assert sorted(titles(worker(contents), select(contents))) == ["Refunds", "Returns"]


@pytest.mark.parametrize("operation", ["PutObject", "ListObjectsV2"])
def test_an_outdated_index_does_not_stay(contents: ContentStore, operation: str) -> None:
    """An index of contents that were changed while it was built is deleted by its builder."""
    (content, *_) = contents.list_contents("demo", None, 5, None).items
    before(operation, lambda: contents.remove("demo", content.id))
    titles(worker(contents), select(contents))
    assert stored() == []


def test_a_newer_index_stays(contents: ContentStore) -> None:
    """A builder that comes too late leaves the newer index of another one."""

    def change() -> None:
        contents.create("demo", Draft(name="Refunds", text="A refund takes days.", folder="Shop"))
        titles(worker(contents), select(contents))

    before("PutObject", change)
    titles(worker(contents), select(contents))
    (key,) = stored()
    assert key == index_files.key_of(select(contents))


def test_another_releases_files_are_not_read(
    contents: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release with another format neither reads nor deletes the files of this one."""
    titles(worker(contents), select(contents))
    monkeypatch.setattr(index_files, "FORMAT", index_files.FORMAT + 1)
    assert titles(worker(contents), select(contents)) == ["Returns"]
    assert len(stored()) == 2


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(5_000)])
def test_an_unreadable_file_is_replaced(contents: ContentStore, content: bytes) -> None:
    """A file that is no index is built anew, for all workers."""
    selection = select(contents)
    titles(worker(contents), selection)
    (key,) = stored()
    clients().s3.put_object(Bucket=BUCKET, Key=key, Body=content)
    assert titles(worker(contents), selection) == ["Returns"]
    assert clients().s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() != content


def test_without_the_bucket_an_index_is_built_alone(
    contents: ContentStore, cut_off: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the bucket out of reach a worker builds what it may hold, and asks again for more."""
    cut_off("s3.GetObject")
    assert titles(worker(contents), select(contents)) == ["Returns"]
    assert stored() == []
    monkeypatch.setattr(lexical, "IN_MEMORY", lexical.IN_MEMORY._replace(passages=1))
    with pytest.raises(UnavailableError, match="out of reach"):
        titles(worker(contents), select(contents))


def test_an_index_that_is_not_stored_answers(
    contents: ContentStore, cut_off: Callable[[str], None]
) -> None:
    """A put that fails costs the other workers their time, and the question nothing."""
    cut_off("s3.PutObject")
    assert titles(worker(contents), select(contents)) == ["Returns"]
    assert stored() == []


def test_more_passages_than_one_process_builds_for_itself(
    contents: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound of a stored index is that of IN_FILE, and the owner is told it."""
    monkeypatch.setattr(lexical, "IN_MEMORY", Limits(1, 10**6, 10**9))
    assert titles(worker(contents), select(contents)) == ["Returns"]
    contents.create("demo", Draft(name="New", text="Another one.", folder="Shop"))
    monkeypatch.setattr(lexical, "IN_FILE", Limits(2, 10**6, 10**9))
    with pytest.raises(SelectionTooLargeError, match="more than 2 passages in these folders"):
        titles(worker(contents), select(contents))


@pytest.fixture
def many(contents: ContentStore, monkeypatch: pytest.MonkeyPatch) -> ContentStore:
    """Return the store; its passages are so many that a builder claims their index."""
    monkeypatch.setattr(index_files, "MANY", 1)
    return contents


def test_many_passages_are_built_by_one_worker(many: ContentStore) -> None:
    """While a worker builds a large index, the others' questions are tried again later."""
    asked: list[str] = []

    def ask_another() -> None:
        for _ in range(2):  # the second one finds the claim before it reads anything
            with pytest.raises(UnavailableError, match="Another worker is building"):
                titles(worker(many), select(many))
            asked.append("refused")

    class Reading(ContentStore):
        def read_candidates(self, selection: Selection) -> Iterator[Candidate]:
            first, second, *others = super().read_candidates(selection)
            yield from (first, second)
            ask_another()
            yield from others

    reading = Reading(clients().dynamodb, REFERENCES["ContentsTable"], payloads())
    assert titles(worker(reading), select(many)) == ["Returns"]
    assert titles(worker(many), select(many)) == ["Returns"]
    assert len(asked) == 2
    assert len(stored()) == 1


def test_a_second_builder_comes_too_late(many: ContentStore) -> None:
    """Of two builders that have found nothing, the one without the claim gives up."""
    key = index_files.key_of(select(many))
    before("PutObject", lambda: payloads().put_new(key, b"{}"))
    with pytest.raises(UnavailableError, match="Another worker is building"):
        titles(worker(many), select(many))


def test_a_claim_of_a_dead_builder_ends(many: ContentStore, set_clock: SetClock) -> None:
    """After the time of an invocation a claim is no longer one."""
    key = index_files.key_of(select(many))
    until = clock.to_millis(set_clock() + index_files.CLAIM)
    payloads().put_new(key, json.dumps({"until": until}).encode())
    with pytest.raises(UnavailableError, match="Another worker is building"):
        titles(worker(many), select(many))
    set_clock.advance(seconds=index_files.CLAIM.total_seconds() + 1)
    assert titles(worker(many), select(many)) == ["Returns"]


def test_a_failed_builder_gives_its_claim_back(
    many: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that fails half-way is begun by the next question, of any worker."""

    def fail(selection: Selection) -> Iterator[Candidate]:
        yield from islice(read(selection), 2)
        raise ConnectionError("gone")

    read = many.read_candidates
    with monkeypatch.context() as patched:
        patched.setattr(many, "read_candidates", fail)
        with pytest.raises(ConnectionError):
            titles(worker(many), select(many))
    assert stored() == []
    assert titles(worker(many), select(many)) == ["Returns"]


def test_a_builder_that_cannot_store_gives_its_claim_back(
    many: ContentStore, cut_off: Callable[[str], None]
) -> None:
    """Without a file in place of the claim, the next worker builds."""
    cut_off("s3.ListObjectsV2")
    assert titles(worker(many), select(many)) == ["Returns"]
    assert stored() == []


def test_a_refusal_is_stored(
    many: ContentStore, monkeypatch: pytest.MonkeyPatch, calls: list[Call]
) -> None:
    """The contents of a selection that is too large are read once, and not by each worker."""
    monkeypatch.setattr(lexical, "IN_FILE", Limits(2, 10**6, 10**9))
    reasons = []
    for _ in range(2):
        calls.clear()
        with pytest.raises(SelectionTooLargeError, match="more than 2 passages") as refused:
            titles(worker(many), Selection("demo", version="3"))
        reasons.append(str(refused.value))
    assert [call.operation for call in calls] == ["s3.GetObject"]
    assert reasons[0] == reasons[1]


def test_a_build_ends_in_time(many: ContentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that takes too long is refused, and begun anew by another worker."""
    with monkeypatch.context() as patched:
        patched.setattr(index_files, "BUILD_SECONDS", 0.0)
        with pytest.raises(SelectionTooLargeError, match="cannot be indexed within 0 seconds"):
            titles(worker(many), select(many))
    assert titles(worker(many), select(many)) == ["Returns"]


def test_a_build_has_room_in_an_invocation(deployment: Deployment) -> None:
    """A worker that has built until the end still has half of its time, and its claim."""
    timeout = int(deployment.functions["generate"].properties["Timeout"])
    assert timeout >= 2 * index_files.BUILD_SECONDS
    assert index_files.CLAIM.total_seconds() >= index_files.BUILD_SECONDS + 60


def test_a_claim_needs_the_bucket(many: ContentStore, cut_off: Callable[[str], None]) -> None:
    """Many passages are not built without the bucket: each worker would build the same."""
    cut_off("s3.PutObject")
    with pytest.raises(UnavailableError, match="out of reach"):
        titles(worker(many), select(many))


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), full_database()]
)
def test_a_full_disk_is_no_end(
    contents: ContentStore, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A worker without room for an index asks for another try."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(lexical, "build_index", fail)
    with pytest.raises(UnavailableError, match="no room"):
        titles(worker(contents), select(contents))


def test_selections_are_opened_side_by_side() -> None:
    """A long build keeps up the questions to the same selection, and not those to all others."""
    began, done = threading.Event(), threading.Event()

    def build(selection: Selection) -> lexical.Index:
        if selection.tenant == "slow":
            began.set()
            assert done.wait(10)
        return lexical.build_index([])

    cache = IndexCache(build, lambda selection: selection.version, 10**9, at_once=2)
    slow = Selection("slow", version="1")
    others = (Selection(f"tenant-{number}", version="1") for number in range(100))
    other = next(each for each in others if lock_of(each) != lock_of(slow))
    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(cache.get, slow)
        assert began.wait(10)
        assert cache.get(other)
        assert not building.done()
        done.set()


def test_no_file_stays_on_the_disk(
    contents: ContentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file loses its name once it is open, and its room with its index."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for ranking in (worker(contents), worker(contents)):
        assert titles(ranking, select(contents)) == ["Returns"]
        assert list(tmp_path.iterdir()) == []


def test_a_cache_has_a_number_of_indexes(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small indexes are, a process has so many open, the last used ones."""
    monkeypatch.setattr(index_cache, "MAX_INDEXES", 2)
    built: list[str] = []

    def build(selection: Selection) -> lexical.Index:
        built.append(selection.tenant)
        return lexical.build_index([])

    cache = IndexCache(build, lambda selection: selection.version, 10**9)
    for tenant in ("a", "b", "a", "c", "a", "b"):
        cache.get(Selection(tenant, version="1"))
    assert built == ["a", "b", "c", "b"]


@pytest.mark.usefixtures("aws")
def test_the_owner_may_turn_it_off(
    monkeypatch: pytest.MonkeyPatch, contents: ContentStore, calls: list[Call]
) -> None:
    """With StoredIndexes off a worker builds its own index, and asks the bucket for none."""
    monkeypatch.setenv("AFTERWORD_STORED_INDEXES", "false")
    services.cache_clear()
    selection = select(contents)
    calls.clear()
    assert [each.origin.title for each in services().ranking.rank("refund", selection, 5)] == [
        "Returns"
    ]
    assert [call.operation for call in calls] == ["dynamodb.Query"]
    assert stored() == []
