"""The embedder: the handler with its event, and what questions find by meaning."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from afterword.errors import UnavailableError
from afterword.generations import FailedError, Reason
from afterword.knowledge import Change, Content, Draft, Embedded, embedder, vector_store
from afterword.knowledge.ranking import RankingKind
from afterword.knowledge.vector_store import Vectors
from afterword.models import ModelRefusedError, ModelTimedOutError, ModelUnavailableError
from afterword.models.embeddings import Purpose, Vector
from afterword.runtime import deadline
from afterword.runtime.clients import clients
from afterword.runtime.dynamodb import Table
from afterword.services import services
from tests.conftest import ROOT, Call, Event, LambdaContext
from tests.harness.api import invoke
from tests.harness.deployment import EMBED_QUEUE_NAME, REFERENCES
from tests.harness.fake_embeddings import POISON, FakeEmbeddings
from tests.harness.stand_in_aws import count_messages, read_items, read_object_keys

BACK = "You are reimbursed within five days."
HOURS = "Nobody is here on Sundays: closed."
LONG = "\n\n".join(f"## Part {number}\n\nMoney. {'Then wait. ' * 60}" for number in range(60))
"""A text whose vectors are stored in S3 with the bound of `small`."""

type Embed = Callable[..., Mapping[str, Any]]


@pytest.fixture
def model(aws: None, use_embeddings: Callable[[FakeEmbeddings], None]) -> FakeEmbeddings:  # noqa: ARG001 - asked for its effect
    """Return the deployment's embedding model, a stand-in."""
    model = FakeEmbeddings()
    use_embeddings(model)
    return model


@pytest.fixture
def embed(load_event: Callable[[str], Event]) -> Embed:
    """Return a function that runs the embedder once with all messages of its queue."""

    def run(milliseconds: int = 60_000) -> Mapping[str, Any]:
        queue = REFERENCES["EmbedQueue"]
        event = load_event("embed")
        sample = event["Records"][0]
        found = clients().sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, AttributeNames=["ApproximateReceiveCount"]
        )
        event["Records"] = [
            {
                **sample,
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
            }
            for message in found.get("Messages", [])
        ]
        result: Mapping[str, Any] = invoke("embed", event, LambdaContext(milliseconds=milliseconds))
        failed = {each["itemIdentifier"] for each in result["batchItemFailures"]}
        for record in event["Records"]:
            if record["messageId"] not in failed:
                clients().sqs.delete_message(QueueUrl=queue, ReceiptHandle=record["receiptHandle"])
        return result

    return run


def add(
    text: str, tenant: str = "demo", folder: str = "Help", tags: tuple[str, ...] = ()
) -> Content:
    """Add a content."""
    draft = Draft(name="Page", folder=folder, text=text, tags=tags)
    return services().contents.create(tenant, draft)


def embedded(content: Content) -> Embedded | None:
    """Return the state of a content's vectors."""
    return services().contents.get(content.tenant, content.id).embedded


def ask(
    question: str,
    kind: RankingKind = RankingKind.SEMANTIC,
    tenant: str = "demo",
    folders: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
) -> list[str]:
    """Return the texts that a question finds."""
    found = services().knowledge.find_passages(tenant, folders, tags, [question], 5, kind=kind)
    return [passage.text for passage in found]


def vector_items() -> list[str]:
    """Return the keys of the stored vectors' items."""
    keys = (item["sk"]["S"] for item in read_items("ContentsTable"))
    return [key for key in keys if key.startswith("vectors#")]


class Index:
    """A stand-in of the vector index, which keeps the vectors of each content."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.puts = 0
        self.before_put: Callable[[], object] = lambda: None

    def put(self, content: Content, vectors: Vectors) -> None:
        """Replace the vectors of a content."""
        before, self.before_put = self.before_put, lambda: None
        before()
        self.puts += 1
        self.kept[content.id] = vectors.rows

    def remove(self, _tenant: str, content_id: str) -> None:
        """Delete the vectors of a content."""
        self.kept.pop(content_id, None)


@pytest.fixture
def index(model: FakeEmbeddings, monkeypatch: pytest.MonkeyPatch) -> Index:  # noqa: ARG001 - asked for its effect
    """Let the embedder put vectors into an index."""
    index = Index()
    monkeypatch.setattr(services().embedder, "_index", index)
    return index


def rows(content: Content) -> bytes:
    """Return the stored rows of a content."""
    found = services().vectors.find(services().contents.get(content.tenant, content.id))
    assert found is not None
    return found.rows


def send(content: Content, *, again: bool = False) -> None:
    """Send a content to the embedder."""
    queue = services().embed_queue
    assert queue is not None
    body = {"tenant": content.tenant, "id": content.id, "again": again}
    queue.send_later(content.tenant, body, 0)


def do_first(
    monkeypatch: pytest.MonkeyPatch, model: FakeEmbeddings, do: Callable[[], object]
) -> None:
    """Do something before the model's next answer."""
    answer = model.embed

    def embed(texts: Sequence[str], purpose: Purpose, timeout: float) -> list[Vector]:
        monkeypatch.setattr(model, "embed", answer)
        do()
        return answer(texts, purpose, timeout)

    monkeypatch.setattr(model, "embed", embed)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let vectors of more than a few passages be stored in S3."""
    monkeypatch.setattr(vector_store, "INLINE_BYTES", 200)


# --- from a content to an answer ----------------------------------------------------------------


def test_an_added_content_is_found_by_its_meaning(model: FakeEmbeddings, embed: Embed) -> None:
    """A question without a word of the answer finds it, once the content is embedded."""
    content = add(BACK)
    add(HOURS)
    assert ask("When do I get my money?") == []
    assert embedded(content) is None
    assert embed() == {"batchItemFailures": []}
    assert embedded(content) == Embedded("fake", vectors=1, missing=0)
    assert ask("When do I get my money?") == [BACK]
    assert ask("What is the capital of Mongolia?") == []
    assert model.embedded[:2] == ["When do I get my money?", f"Page\n{BACK}"]
    assert count_messages(EMBED_QUEUE_NAME) == 0


@pytest.mark.usefixtures("model")
def test_hybrid_finds_by_words_what_has_no_vectors_yet(embed: Embed) -> None:
    """Until a content is embedded its words are found, and afterwards its meaning as well."""
    add(BACK)
    assert ask("Am I reimbursed?", RankingKind.HYBRID) == [BACK]
    assert ask("When do I get my money?", RankingKind.HYBRID) == []
    embed()
    assert ask("Am I reimbursed?", RankingKind.HYBRID) == [BACK]
    assert ask("When do I get my money?", RankingKind.HYBRID) == [BACK]


@pytest.mark.usefixtures("model")
def test_hybrid_leaves_out_words_far_from_the_question(embed: Embed) -> None:
    """A passage that shares a question's words and not its meaning is no answer."""
    text = "The kettle is by the window. Brew the tea there."
    add(text)
    assert ask("A parcel by the window?", RankingKind.HYBRID) == [text]
    embed()
    assert ask("A parcel by the window?", RankingKind.LEXICAL) == [text]
    assert ask("A parcel by the window?", RankingKind.HYBRID) == []


@pytest.mark.usefixtures("model", "small")
def test_many_vectors_are_kept_in_the_bucket(embed: Embed) -> None:
    """Vectors too big for an item are an object beside the text, and are gone with the content."""
    content = add(LONG)
    embed()
    assert f"demo/{content.id}/passages.vectors" in read_object_keys("ContentsBucket")
    assert embedded(content) == Embedded("fake", vectors=120, missing=0)
    assert len(ask("money")) == 5
    services().contents.remove("demo", content.id)
    assert read_object_keys("ContentsBucket") == []
    assert vector_items() == []


# --- changes ------------------------------------------------------------------------------------


def test_a_change_embeds_what_has_changed(model: FakeEmbeddings, embed: Embed) -> None:
    """Of a changed text only the new passages are embedded; the others keep their vectors."""
    content = add(LONG)
    embed()
    model.calls.clear()
    services().contents.update("demo", content.id, Change(text=f"{LONG}\n\n## Tea\n\n{BACK}"))
    assert embedded(content) is None
    embed()
    assert len(model.embedded) == 1
    assert embedded(content) == Embedded("fake", vectors=121, missing=0)


@pytest.mark.usefixtures("model")
def test_a_new_text_is_found_instead_of_the_old_one(embed: Embed) -> None:
    """The vector of an old text finds nothing, before the new one is embedded and after."""
    content = add(BACK)
    embed()
    assert ask("money") == [BACK]
    services().contents.update("demo", content.id, Change(text=HOURS))
    assert ask("money") == []
    embed()
    assert ask("money") == []
    assert ask("Open at the weekend?") == [HOURS]


@pytest.mark.usefixtures("model")
def test_a_removed_content_leaves_no_vector(embed: Embed) -> None:
    """The removal of a content removes its vectors in the same transaction."""
    content = add(BACK)
    embed()
    assert len(vector_items()) == 1
    services().contents.remove("demo", content.id)
    assert vector_items() == []
    assert ask("money") == []
    assert embed() == {"batchItemFailures": []}
    assert vector_items() == []


@pytest.mark.usefixtures("small")
def test_a_content_removed_meanwhile_gets_no_vector(
    model: FakeEmbeddings, embed: Embed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors that are made while their content is removed are not stored."""
    content = add(LONG)
    do_first(monkeypatch, model, lambda: services().contents.remove("demo", content.id))
    assert embed() == {"batchItemFailures": []}
    assert vector_items() == []
    assert read_object_keys("ContentsBucket") == []


def test_a_content_changed_meanwhile_keeps_the_newer_vectors(
    model: FakeEmbeddings, index: Index, embed: Embed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An embedder that another one has passed puts no older vectors into the index."""
    content = add(BACK)

    def change() -> None:
        services().contents.update("demo", content.id, Change(text=HOURS))
        embed()

    do_first(monkeypatch, model, change)
    embed()
    assert index.kept == {content.id: rows(content)}
    while count_messages(EMBED_QUEUE_NAME):
        embed()
    assert index.kept == {content.id: rows(content)}
    assert ask("Open at the weekend?") == [HOURS]


def test_a_content_changed_between_both_stores_is_embedded_again(
    index: Index, embed: Embed
) -> None:
    """The vectors of an older revision leave the index, also those of a removed content."""
    content = add(BACK)

    def change() -> None:
        services().contents.update("demo", content.id, Change(text=HOURS))
        embed()

    index.before_put = change
    embed()
    assert index.kept != {content.id: rows(content)}
    embed()
    assert index.kept == {content.id: rows(content)}
    index.before_put = lambda: services().contents.remove("demo", content.id)
    send(content, again=True)
    embed()
    while count_messages(EMBED_QUEUE_NAME):
        embed()
    assert index.kept == {}


@pytest.mark.usefixtures("small")
def test_large_vectors_of_an_older_revision_do_not_stay(
    model: FakeEmbeddings, embed: Embed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An embedder that was passed may overwrite newer vectors in the bucket, for a moment."""
    content = add(LONG)

    def change() -> None:
        services().contents.update("demo", content.id, Change(text=LONG.replace("Money", "Tea")))
        embed()

    do_first(monkeypatch, model, change)
    embed()
    while count_messages(EMBED_QUEUE_NAME):
        embed()
    assert embedded(content) == Embedded("fake", vectors=120, missing=0)
    assert len(ask("kettle")) == 5
    assert ask("refund") == []


def test_a_content_that_is_up_to_date_is_not_written(
    index: Index, embed: Embed, calls: list[Call]
) -> None:
    """Another message of an embedded content writes nothing, unless it asks for that."""
    content = add(BACK)
    embed()
    calls.clear()
    send(content)
    embed()
    written = [call for call in calls if call.operation.startswith(("dynamodb", "s3"))]
    assert {call.operation.split(".")[1] for call in written} <= {"BatchGetItem", "GetItem"}
    assert index.puts == 1
    index.kept.clear()
    send(content, again=True)
    embed()
    assert index.kept == {content.id: rows(content)}


def test_a_new_index_is_filled_without_the_model(
    model: FakeEmbeddings, index: Index, embed: Embed
) -> None:
    """A content that is stored again keeps the vectors that it has."""
    content = add(LONG)
    embed()
    model.calls.clear()
    index.kept.clear()
    send(content, again=True)
    embed()
    assert index.kept == {content.id: rows(content)}
    assert model.calls == []


@pytest.mark.usefixtures("model")
def test_vectors_are_stored_beside_writes_of_their_labels(
    embed: Embed, calls: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels, which the change of any content writes, are no part of the vectors' transaction.

    A try that ended before it had counted a label is repeated.
    """
    content = add(BACK, tags=("one", "two"))
    assert ask("money") == []
    monkeypatch.setattr(embedder, "_backoff", lambda *_: 0)
    calls.clear()

    def fail(*_: object, **__: object) -> None:
        raise UnavailableError("Storage is busy.")

    with monkeypatch.context() as patch:
        patch.setattr(Table, "update", fail)
        assert len(embed()["batchItemFailures"]) == 1
    (writes,) = (call.params["TransactItems"] for call in calls if "Transact" in call.operation)
    assert len(writes) == 3
    assert embedded(content) == Embedded("fake", vectors=1, missing=0)
    assert ask("money") == []
    assert embed() == {"batchItemFailures": []}
    assert ask("money") == [BACK]


@pytest.mark.usefixtures("model")
def test_a_moved_content_is_found_in_its_new_folder(embed: Embed) -> None:
    """A folder's questions find its own contents, by name and tag as well, after a move too."""
    content = add(BACK, folder="Help", tags=("shop",))
    embed()
    assert ask("money", folders=("Help",), tags=("shop",)) == [BACK]
    assert ask("money", folders=("Other",)) == []
    assert ask("money", tags=("other",)) == []
    services().contents.update("demo", content.id, Change(folder="Other", tags=("other",)))
    assert ask("money", folders=("Help",)) == []
    assert ask("money", tags=("shop",)) == []
    embed()
    assert ask("money", folders=("Other",), tags=("other",)) == [BACK]
    assert len(vector_items()) == 1


def test_another_model_embeds_anew(
    model: FakeEmbeddings,
    embed: Embed,
    use_embeddings: Callable[[FakeEmbeddings], None],
) -> None:
    """Vectors of another model are not compared, and are replaced when their content is sent."""
    content = add(BACK)
    embed()
    newer = FakeEmbeddings("newer")
    use_embeddings(newer)
    assert ask("money") == []
    services().embed_queue.send("demo", content.id)  # type: ignore[union-attr] # there is a model
    embed()
    assert embedded(content) == Embedded("newer", vectors=1, missing=0)
    assert ask("money") == [BACK]
    assert newer.embedded == ["money", f"Page\n{BACK}", "money"]
    assert model.embedded == [f"Page\n{BACK}"]


@pytest.mark.usefixtures("model")
def test_without_the_model_changes_remove_the_vectors(
    embed: Embed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a deployment that embeds no more, a change leaves no vectors that nobody renews."""
    content = add(BACK)
    embed()
    monkeypatch.setenv("AFTERWORD_EMBED_QUEUE_URL", "")
    services.cache_clear()
    services().contents.update("demo", content.id, Change(name="Renamed"))
    assert vector_items() == []


@pytest.mark.usefixtures("model")
def test_an_unchanged_content_without_vectors_is_sent_again(embed: Embed) -> None:
    """A content whose message was lost is embedded once it is put again, unchanged."""
    draft = Draft(name="Page", folder="Help", text=BACK, external_id="page")
    services().contents.put("demo", draft)
    clients().sqs.purge_queue(QueueUrl=REFERENCES["EmbedQueue"])
    services().contents.put("demo", draft)
    assert count_messages(EMBED_QUEUE_NAME) == 1
    embed()
    services().contents.put("demo", draft)
    assert count_messages(EMBED_QUEUE_NAME) == 0
    assert ask("money") == [BACK]


# --- what goes wrong ----------------------------------------------------------------------------


def test_a_throttled_model_is_asked_later(
    model: FakeEmbeddings, embed: Embed, calls: list[Call]
) -> None:
    """A content whose model is busy is delivered again after a wait that grows, up to an hour."""
    content = add(BACK)
    model.error = ModelUnavailableError("Busy.", 40.0, throttled=True)
    assert len(embed()["batchItemFailures"]) == 1
    (wait,) = (call.params["VisibilityTimeout"] for call in calls if "ChangeM" in call.operation)
    assert wait == 40
    assert embedded(content) is None
    assert vector_items() == []


def test_a_throttled_model_keeps_the_vectors_that_it_has_made(
    model: FakeEmbeddings, embed: Embed, calls: list[Call]
) -> None:
    """A try that has made vectors is none that failed: a new message goes on, after a wait."""
    content = add(LONG)
    model.error, model.fails_after = ModelUnavailableError("Busy.", 40.0, throttled=True), 3
    assert embed() == {"batchItemFailures": []}
    assert embedded(content) == Embedded("fake", vectors=12, missing=108)
    (sent,) = (call.params for call in calls if call.params.get("DelaySeconds"))
    assert sent["DelaySeconds"] == 40
    assert json.loads(sent["MessageBody"]) == {"tenant": "demo", "id": content.id, "again": True}
    model.error = None
    model.calls.clear()
    send(content)
    embed()
    assert embedded(content) == Embedded("fake", vectors=120, missing=0)
    assert len(model.embedded) == 108


def test_any_error_of_a_content_leaves_the_others_of_its_batch(
    model: FakeEmbeddings,
    embed: Embed,
    monkeypatch: pytest.MonkeyPatch,
    log_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    """A content that ends in an error of the code is tried later; the others are embedded now."""
    bad, good = add(f"{BACK} secret"), add(HOURS)
    answer = model.embed

    def fail(texts: Sequence[str], purpose: Purpose, timeout: float) -> list[Vector]:
        if "secret" in texts[0]:
            raise OverflowError
        return answer(texts, purpose, timeout)

    monkeypatch.setattr(model, "embed", fail)
    assert len(embed()["batchItemFailures"]) == 1
    assert (embedded(bad), embedded(good)) == (None, Embedded("fake", vectors=1, missing=0))
    assert any(line["message"] == "failed at a content" for line in log_lines())


def test_vectors_of_several_lengths_are_not_stored_together(
    model: FakeEmbeddings, embed: Embed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model whose vectors have changed their length meanwhile is an error, and replaces all."""
    content = add(LONG)
    answer, lengths = model.embed, [8, 8, 12]

    def lengthen(texts: Sequence[str], purpose: Purpose, timeout: float) -> list[Vector]:
        length = lengths.pop(0) if lengths else 12
        return [[*vector, 0, 0, 0, 0][:length] for vector in answer(texts, purpose, timeout)]

    monkeypatch.setattr(model, "embed", lengthen)
    assert len(embed()["batchItemFailures"]) == 1
    assert embedded(content) == Embedded("fake", vectors=8, missing=112)
    send(content)
    assert embed() == {"batchItemFailures": []}
    assert embedded(content) == Embedded("fake", vectors=120, missing=0)
    assert len(rows(content)) == 120 * (8 + 12)
    assert len(ask("money")) == 5


@pytest.mark.parametrize(
    ("received", "least", "most"), [(1, 7, 15), (4, 60, 120), (11, 1800, 3600)]
)
def test_waits_grow_with_the_tries(  # noqa: PLR0913, PLR0917 - a case, and what it needs
    model: FakeEmbeddings,
    load_event: Callable[[str], Event],
    calls: list[Call],
    received: int,
    least: int,
    most: int,
) -> None:
    """Each try doubles the longest wait, and a wait is at least half of it."""
    content = add(BACK)
    queue = REFERENCES["EmbedQueue"]
    (message,) = clients().sqs.receive_message(QueueUrl=queue)["Messages"]
    event = load_event("embed")
    event["Records"][0] |= {
        "receiptHandle": message["ReceiptHandle"],
        "body": json.dumps({"tenant": "demo", "id": content.id}),
        "attributes": {"ApproximateReceiveCount": str(received)},
    }
    model.error = ModelTimedOutError("Too slow.")
    assert len(invoke("embed", event)["batchItemFailures"]) == 1
    (wait,) = (call.params["VisibilityTimeout"] for call in calls if "ChangeM" in call.operation)
    assert least <= wait <= most


def test_a_refused_passage_does_not_keep_the_others_from_vectors(
    model: FakeEmbeddings, embed: Embed
) -> None:
    """A piece that the model refuses has no vector; its content says so, and is not tried again.

    Its words are found all the same.
    """
    poisoned = f"## One\n\nThe {POISON} word. {'Then wait. ' * 60}\n\n## Two\n\n{BACK}"
    content, other = add(poisoned), add(HOURS)
    assert embed() == {"batchItemFailures": []}
    assert embedded(content) == Embedded("fake", vectors=2, missing=1)
    assert embedded(other) == Embedded("fake", vectors=1, missing=0)
    assert count_messages(EMBED_QUEUE_NAME) == 0
    assert ask("money")[0].endswith(BACK)
    assert POISON in ask(f"{POISON} word", RankingKind.LEXICAL)[0]
    assert len(model.calls) < 12


def test_a_content_that_is_refused_whole_is_tried_again(
    model: FakeEmbeddings, embed: Embed, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    """A content without any vector may be the fault of the settings: its tries end as a letter."""
    model.error = ModelRefusedError(Reason.MODEL_NOT_FOUND, "The endpoint answered 404.")
    add(f"{BACK} secret")
    assert len(embed()["batchItemFailures"]) == 1
    assert vector_items() == []
    (line,) = (each for each in log_lines() if each["message"] == "could not embed a content")
    assert line["why"] == "The endpoint answered 404."
    assert "secret" not in json.dumps(log_lines())


def test_a_text_too_long_for_the_model_is_cut(model: FakeEmbeddings, embed: Embed) -> None:
    """A passage with more tokens than the model takes is embedded by its beginning."""
    model.longest = 200
    content = add(f"{BACK} {'Then wait. ' * 70}")
    embed()
    assert embedded(content) == Embedded("fake", vectors=3, missing=0)
    assert ask("money") != []


def test_what_there_is_no_time_for_is_sent_again(
    model: FakeEmbeddings, embed: Embed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large content is embedded in several invocations, none of which begins anew."""
    content = add(LONG)
    answer, now = model.embed, [0.0]

    def take_a_while(texts: Sequence[str], purpose: Purpose, timeout: float) -> list[Vector]:
        now[0] += 60
        return answer(texts, purpose, timeout)

    monkeypatch.setattr(model, "embed", take_a_while)
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: now[0]))
    assert embed(milliseconds=300_000) == {"batchItemFailures": []}
    assert embedded(content) == Embedded("fake", vectors=20, missing=100)
    assert len(ask("money")) == 5
    for _ in range(5):
        assert embed(milliseconds=300_000) == {"batchItemFailures": []}
    assert embedded(content) == Embedded("fake", vectors=120, missing=0)
    assert count_messages(EMBED_QUEUE_NAME) == 0
    passages = [text for text in model.embedded if text != "money"]
    assert len(set(passages)) == len(passages) == 120


@pytest.mark.usefixtures("model")
def test_a_message_without_time_is_sent_again(embed: Embed) -> None:
    """A message that waited for others until the deadline has had no try, and is sent anew."""
    add(BACK)
    assert embed(milliseconds=10_000) == {"batchItemFailures": []}
    assert count_messages(EMBED_QUEUE_NAME) == 1
    embed()
    assert ask("money") == [BACK]


# --- tenants ------------------------------------------------------------------------------------


def test_no_tenant_finds_the_passages_of_another(model: FakeEmbeddings, embed: Embed) -> None:
    """The same question finds each tenant's own passages, by meaning and by both."""
    add(BACK, tenant="demo")
    add("They repay you never.", tenant="other")
    embed()
    for kind in (RankingKind.SEMANTIC, RankingKind.HYBRID):
        assert ask("money", kind, tenant="demo") == [BACK]
        assert ask("money", kind, tenant="other") == ["They repay you never."]
        assert ask("money", kind, tenant="third") == []
    assert model.embedded


@pytest.mark.usefixtures("model")
def test_messages_are_grouped_by_tenant(calls: list[Call]) -> None:
    """SQS shares the embedder among tenants: each has its own message group."""
    add(BACK, tenant="demo")
    add(BACK, tenant="other")
    groups = [call.params["MessageGroupId"] for call in calls if "SendMessage" in call.operation]
    assert groups == ["demo", "other"]


@pytest.mark.usefixtures("model")
def test_a_lost_message_costs_the_vectors_alone(
    cut_off: Callable[[str], None], log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    """A content is stored, and found by its words, although its message could not be sent."""
    cut_off("sqs.SendMessage")
    add(BACK)
    assert ask("Am I reimbursed?", RankingKind.HYBRID) == [BACK]
    (line,) = (each for each in log_lines() if "announce" in each["message"])
    assert BACK not in json.dumps(line)


# --- a deployment without a model ---------------------------------------------------------------


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("kind", [RankingKind.SEMANTIC, RankingKind.HYBRID])
def test_a_ranking_that_the_deployment_lost_fails_with_what_to_do(kind: RankingKind) -> None:
    """A flow that was saved with a model fails without one, and is not answered by words alone."""
    add(BACK)
    with pytest.raises(FailedError, match="EmbeddingProvider") as failed:
        ask("Am I reimbursed?", kind)
    assert failed.value.reason is Reason.KNOWLEDGE_UNAVAILABLE
    assert ask("Am I reimbursed?", RankingKind.LEXICAL) == [BACK]


@pytest.mark.usefixtures("aws")
def test_without_a_model_nothing_is_announced(calls: list[Call]) -> None:
    """A deployment that ranks by words alone sends no message, and writes no further item."""
    content = add(BACK)
    services().contents.update("demo", content.id, Change(folder="Other"))
    services().contents.remove("demo", content.id)
    assert not [call for call in calls if call.operation.startswith("sqs.")]
    assert "vectors#" not in str([call.params for call in calls])


def test_a_worker_without_such_flows_imports_nothing_of_it() -> None:
    """The worker and its services start without vectors, the fusion, and the C extension."""
    script = """
import sys, functions.generate.app
from afterword.services import services
services
wanted = ("simsimd", "afterword.knowledge.meaning", "afterword.knowledge.hybrid")
wanted += ("afterword.knowledge.vector_store", "afterword.models.bedrock_embeddings")
print([name for name in wanted if name in sys.modules])
"""
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
