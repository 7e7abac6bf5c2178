"""Data that leave to their owner alone, of contents, questions, sessions and their metadata."""

import io
from collections.abc import Callable

import pytest

from afterword.models import ModelUnavailableError
from afterword.services import services
from afterword.tenants import keys
from afterword.tenants.keys import Scope
from tests.conftest import Call, Event, LambdaContext, Tenant
from tests.harness import pdf_files, unless
from tests.harness.api import invoke
from tests.harness.contents import Contents
from tests.harness.fake_model import FakeModel, raising, saying
from tests.harness.unless import Visitor

WORDS = ("Xylophone", "Yttrium", "Zirconium", "Quokka", "Wombat", "Narwhal", "Axolotl", "Pangolin")
QUESTION, NAME, TEXT, FOLDER, SESSION, METADATA, ANSWER, VISITOR = WORDS
ADDRESS = "jane.secret@example.com"
LEAVES = frozenset({"sqs.SendMessage", "eventbridge.PutEvents"})

type Leaked = Callable[[], list[str]]


@pytest.fixture
def visitor(
    tenant: Tenant, load_event: Callable[[str], Event], monkeypatch: pytest.MonkeyPatch
) -> Visitor:
    """Return a visitor of a website that answers from documents, and whose ends are made known."""
    monkeypatch.setenv("AFTERWORD_EVENT_BUS", "default")
    steps = [{"name": "answer", "prompt": "{{question}}", "context": {"folders": [FOLDER]}}]
    unless.put_flow(tenant.id, steps=steps)
    return Visitor(load_event, tenant.id, tenant.key, {"x-website-id": unless.WEBSITE})


@pytest.fixture
def owner(tenant: Tenant, load_event: Callable[[str], Event]) -> Contents:
    """Return a client of the contents, with a key that may write them."""
    _, key = services().registry.create_key(tenant.id, Scope)
    return Contents(load_event, key)


@pytest.fixture
def leaked(
    visitor: Visitor,
    owner: Contents,
    log: io.StringIO,
    capfd: pytest.CaptureFixture[str],
    calls: list[Call],
) -> Leaked:
    """Return a function that gives the secret words, and the keys, that have left."""
    secrets = [
        credential.secret
        for key in (visitor.key, owner.key)
        if (credential := keys.parse_key(key)) is not None
    ]
    assert len(secrets) == 2

    def look() -> list[str]:
        captured = capfd.readouterr()
        sent = [str(call.params) for call in calls if call.operation in LEAVES]
        seen = "\n".join([log.getvalue(), captured.out, captured.err, *sent]).lower()
        assert seen.strip(), "nothing was written at all"
        return [word for word in (*WORDS, ADDRESS, *secrets) if word.lower() in seen]

    return look


def test_the_watch_sees_a_leak(leaked: Leaked, log: io.StringIO) -> None:
    """A word in a line is found."""
    log.write('{"message": "about xylophone"}')
    assert leaked() == [QUESTION]


@pytest.mark.parametrize(
    "model",
    [
        saying(f"{ANSWER} [1]"),
        saying(""),
        raising(ModelUnavailableError("Busy.")),
        raising(RuntimeError("a bug")),
    ],
    ids=range(4),
)
def test_a_question_leaves_no_word(  # noqa: PLR0913, PLR0917 - all that an answer touches
    visitor: Visitor,
    owner: Contents,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    leaked: Leaked,
    model: FakeModel,
) -> None:
    """Neither the question and its session, nor passages, names and answers are written."""
    text = f"The {QUESTION} is made of {TEXT}."
    owner.created(name=NAME, text=text, folder=FOLDER, tags=[FOLDER], source=f"https://{NAME}.eu")
    question_id = visitor.asked(
        f"What is the {QUESTION} made of?",
        sessionId=SESSION,
        visitorId=VISITOR,
        metadata={"page": METADATA},
    )
    use_model(model)
    invoke("generate", message_event(question_id), LambdaContext(milliseconds=300_000))
    assert TEXT in repr(model.prompts)
    result = visitor.answer(question_id, x_user_email=ADDRESS)
    assert result["statusCode"] == 200
    assert leaked() == []


def test_what_is_refused_leaves_no_word(visitor: Visitor, owner: Contents, leaked: Leaked) -> None:
    """A fault of a question or a content is told to its sender alone."""
    refused = [
        visitor.ask(QUESTION * 2_000, sessionId=SESSION),
        visitor.ask(QUESTION, metadata=METADATA),
        visitor.post(f'{{"query": "{QUESTION}'),
        owner.create({"name": NAME, "text": TEXT, "folder": FOLDER, METADATA: ANSWER}),
        owner.create({"name": NAME, "fileUrl": f"https://{VISITOR}.invalid/{SESSION}"}),
        owner.submit(("file", (NAME, pdf_files.encrypted(TEXT, "secret"))), ("folder", FOLDER)),
        owner.submit(("file", (NAME, b"%PDF-1.7 " + TEXT.encode())), ("folder", FOLDER)),
        owner.update(SESSION, {"name": NAME, "text": TEXT}),
    ]
    assert {each["statusCode"] for each in refused} == {400, 404, 422}
    assert leaked() == []


def test_contents_leave_no_word(owner: Contents, leaked: Leaked) -> None:
    """Adding, changing and listing contents writes nothing of them."""
    added = owner.created(name=NAME, text=TEXT, folder=FOLDER, tags=[SESSION], externalId=VISITOR)
    assert owner.update(VISITOR, {"name": ANSWER})["statusCode"] == 200
    assert FOLDER in str(owner.folders())
    assert ANSWER in str(owner.list(added["folder"]["id"]))
    services().contents.remove("demo", added["id"])
    owner.create("[]")
    assert leaked() == []
