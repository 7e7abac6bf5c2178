"""Reading a generation through GenAI Stack's API: the handler with its event, under moto."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from afterword import clock
from afterword.generations import Reason, Setback, SetbackReason
from afterword.generations.claims import Claim
from afterword.models import ModelRefusedError, ModelUnavailableError
from afterword.services import services
from tests.conftest import Event, SetClock, Tenant
from tests.endpoints.conftest import ClientFor
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import FakeModel, completion, raising, saying
from tests.harness.genai_stack import (
    ABSENT,
    BIG,
    DOCUMENTED_READ,
    NO_SUCH_GENERATION,
    NO_UUID,
    Client,
    Result,
    answer,
    body_of,
    differences,
    refusal,
    send,
    shown,
)

HELLO = {"text": "Hello"}
LATER = "2026-11-10T09:00:02.500Z"

type Read = Callable[[], Result]


@pytest.fixture
def generation_id(client: Client) -> str:
    """Submit a text and return its generation's id."""
    return client.submitted()


@pytest.fixture
def read(client: Client, generation_id: str) -> Read:
    """Return a function that reads the generation, and looks for the documented fields."""

    def get() -> Result:
        result = client.get(generation_id)
        assert differences(body_of(result), DOCUMENTED_READ) == []
        return result

    return get


@pytest.fixture
def claimed(generation_id: str, set_clock: SetClock) -> Claim:
    """Claim the generation as a worker does, and let two and a half seconds go by."""
    claim = services().store.claim("demo", generation_id, clock.now() + timedelta(seconds=70))
    assert claim is not None
    set_clock.advance(seconds=2.5)
    return claim


def test_a_queued_generation_is_pending(generation_id: str, read: Read) -> None:
    """A generation that waits for a worker is `pending`, with what was asked for."""
    assert read() == answer(shown(generation_id, HELLO))


@pytest.mark.usefixtures("claimed")
def test_a_running_generation_is_processing(generation_id: str, read: Read) -> None:
    """A generation that a worker has is `processing`, and its log says which attempt runs."""
    logs = "attempt 1 is running"
    assert read() == answer(shown(generation_id, HELLO, "processing", logs=logs, attempts=1))


def test_a_requeued_generation_is_pending(generation_id: str, claimed: Claim, read: Read) -> None:
    """A generation that was throttled is `pending` again, and its log says why it waits."""
    services().store.requeue(claimed, failed=False)
    logs = f"attempt 1 was handed back, the next one is due {LATER}"
    assert read() == answer(shown(generation_id, HELLO, logs=logs, attempts=1))


def test_the_log_has_the_last_error(
    generation_id: str, claimed: Claim, set_clock: SetClock, read: Read
) -> None:
    """The log of a generation that waits says why and until when; the next attempt's says why."""
    setback = Setback(SetbackReason.THROTTLED, "429")
    next_at = clock.now() + timedelta(seconds=4)
    services().store.requeue(claimed, failed=False, setback=setback, next_at=next_at)
    returned = "attempt 1 was handed back: throttled (429)"
    logs = f"{returned}, the next one is due 2026-11-10T09:00:06.500Z"
    assert read() == answer(shown(generation_id, HELLO, logs=logs, attempts=1))
    set_clock.advance(seconds=4)
    services().store.claim("demo", generation_id, clock.now() + timedelta(seconds=70))
    logs = f"{returned}\nattempt 2 is running"
    assert read() == answer(shown(generation_id, HELLO, "processing", logs=logs, attempts=2))


def test_a_finished_generation_is_completed(generation_id: str, claimed: Claim, read: Read) -> None:
    """A generation that succeeded is `completed`, with its text, model, tokens and times."""
    text = 'Bonjour,\n"Merci" — 😀'
    services().store.succeed(claimed, completion(text))
    logs = f"{LATER} succeeded in 2.5 s, attempt 1\ntest-model: 120 tokens in, 40 out"
    assert read() == answer(
        shown(
            generation_id,
            HELLO,
            "completed",
            text=text,
            logs=logs,
            attempts=1,
            finished_at=LATER,
            seconds=2.5,
            model="test-model",
            tokens_in=120,
            tokens_out=40,
            stop_reason="stop",
        )
    )


@pytest.mark.parametrize("useless", [False, True])
def test_a_failed_generation_has_its_reason(
    generation_id: str,
    claimed: Claim,
    read: Read,
    useless: bool,  # noqa: FBT001 - a case
) -> None:
    """A generation that failed is `failed`, with a reason, and the tokens of a useless answer."""
    message = "The model refused it."
    spent = completion("no use") if useless else None
    services().store.fail(claimed, Reason.REFUSED_CONTENT, message, spent)
    logs = f"{LATER} failed in 2.5 s, attempt 1\nrefused_content: {message}"
    assert read() == answer(
        shown(
            generation_id,
            HELLO,
            "failed",
            logs=logs,
            attempts=1,
            finished_at=LATER,
            seconds=2.5,
            tokens_in=120 if useless else None,
            tokens_out=40 if useless else None,
            reason="refused_content",
            message=message,
        )
    )


def test_a_canceled_generation_has_failed(
    generation_id: str, set_clock: SetClock, read: Read
) -> None:
    """A generation that was canceled is `failed`, and its log says that it was canceled."""
    set_clock.advance(seconds=2.5)
    services().outbox.cancel("demo", generation_id)
    logs = f"{LATER} canceled in 2.5 s, attempt 0"
    expected = shown(
        generation_id, HELLO, "failed", logs=logs, finished_at=LATER, seconds=2.5, attempts=0
    )
    assert read() == answer(expected)


def test_attempts_are_counted(
    generation_id: str, claimed: Claim, set_clock: SetClock, read: Read
) -> None:
    """A generation that came to its end with the second attempt says so."""
    store = services().store
    store.requeue(claimed, failed=True)
    again = store.claim("demo", generation_id, clock.now() + timedelta(seconds=70))
    assert again is not None
    set_clock.advance(seconds=1)
    store.succeed(again, completion("Hi"))
    body = body_of(read())
    assert (body["meta_data"]["attempts"], body["meta_data"]["seconds"]) == (2, 3.5)
    assert "succeeded in 3.5 s, attempt 2" in body["logs"]


@pytest.mark.parametrize(
    ("model", "status", "line"),
    [
        (saying("Hi"), "completed", "test-model: 120 tokens in, 40 out"),
        (saying(" "), "failed", "empty_output: The model answered with no text."),
        (
            raising(ModelRefusedError(Reason.REFUSED_CONTENT, "The model refused the content.")),
            "failed",
            "refused_content: The model refused the content.",
        ),
        (
            raising(ModelUnavailableError("secret-host:11434 is busy.")),
            "pending",
            "attempt 1 was handed back: unavailable, the next one is due 2026-11-10T09:00:",
        ),
    ],
    ids=["completed", "empty", "refused", "throttled"],
)
def test_nothing_of_the_inside_is_told(  # noqa: PLR0913, PLR0917 - a worker's run and what is read of it
    client: Client,
    other_tenant: Tenant,
    client_for: ClientFor,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    model: FakeModel,
    status: str,
    line: str,
) -> None:
    """No result of a worker shows a name of a table, bucket, key or host."""
    client_for(other_tenant).submitted(("text", "Theirs"))
    generation_id = client.submitted(("text", BIG))
    event = message_event(generation_id)
    services().queue.send("demo", generation_id)
    use_model(model)
    invoke("generate", event)
    body = body_of(client.get(generation_id))
    assert body["status"] == status
    assert body["logs"].splitlines()[-1].startswith(line)
    told = json.dumps([body, body_of(client.list()), body_of(client.app())]).lower()
    inside = [
        *REFERENCES.values(), "123456789012", "traceback", "aw_", "genai_stack", "dialonce", "demo",
        "other", "theirs", "request_key", "text_key", "secret-host", "lease", "fingerprint",
    ]  # fmt: skip
    # `generations` is in "text_generations", which is documented.
    told = told.replace("text_generations", "")
    assert [name for name in inside if name.lower() in told] == []


def test_a_big_text_comes_from_the_bucket(client: Client, cut_off: Callable[[str], None]) -> None:
    """Inputs and a text that are too big for an item are read back whole, once S3 is in reach."""
    generation_id = client.submitted(("text", BIG))
    claim = services().store.claim("demo", generation_id, clock.now() + timedelta(seconds=70))
    assert claim is not None
    services().store.succeed(claim, completion("é" * 20_000))
    body = body_of(client.get(generation_id))
    assert (body["inputs"], body["outputs"]) == ({"text": BIG}, {"text": "é" * 20_000})
    cut_off("s3.GetObject")
    again = refusal(503, "Try again in a moment.", retry_after="1")
    assert client.get(generation_id) == again


def test_an_id_is_taken_in_upper_case(client: Client, generation_id: str, read: Read) -> None:
    """A UUID in upper or mixed case is the same one."""
    assert generation_id != generation_id.upper()
    for text in (generation_id.upper(), generation_id[:18] + generation_id[18:].upper()):
        assert client.get(text) == read()


@pytest.mark.parametrize(
    "change",
    [
        lambda own: f"{{{own}}}",
        lambda own: f"urn:uuid:{own}",
        lambda own: f"URN:UUID:{own.upper()}",
        lambda own: own.replace("-", ""),
        lambda own: own.replace("-", "_"),
        lambda own: f" {own}",
        lambda own: f"{own}\n",
        lambda own: f"{own}0",
        lambda own: own[:-1],
        lambda own: own[:-1] + "g",
        lambda own: own[:-1] + "\N{FULLWIDTH DIGIT ONE}",
        lambda own: own[:9] + own[10:] + "-",
        lambda _: "",
        lambda _: "id",
        lambda _: "..",
        lambda _: "\x00",
        lambda _: "\ud800",
        lambda _: "demo#",
        lambda _: "0" * 5_000,
    ],
)
def test_what_is_no_uuid_is_refused(
    client: Client, generation_id: str, change: Callable[[str], str]
) -> None:
    """Anything but 32 digits with four hyphens gets 400, to read and to update alike."""
    text = change(generation_id)
    assert client.get(text) == NO_UUID
    assert client.set_title(text, "x") == NO_UUID
    assert client.update(text, "{}") == NO_UUID


def test_what_is_not_the_apps_is_absent(
    client: Client,
    form: Client,
    other_tenant: Tenant,
    client_for: ClientFor,
    read: Read,
) -> None:
    """An absent, a foreign and another flow's generation get the same 404, byte for byte."""
    theirs = client_for(other_tenant).submitted()
    before = read()
    for asked in (ABSENT, theirs, form.submitted(("topic", "Snow"))):
        for spelled in (asked, asked.upper()):
            assert client.get(spelled) == NO_SUCH_GENERATION
            assert client.set_title(spelled, "x") == NO_SUCH_GENERATION
            assert client.set_title(spelled, None) == NO_SUCH_GENERATION
            assert client.update(spelled, "{}") == NO_SUCH_GENERATION
    assert read() == before


def test_an_expired_generation_is_gone(
    client: Client, generation_id: str, set_clock: SetClock, read: Read
) -> None:
    """After the retention a generation is as absent as one that never was."""
    set_clock.advance(days=30, milliseconds=-1)
    assert read() == answer(shown(generation_id, HELLO))
    set_clock.advance(milliseconds=1)
    assert client.get(generation_id) == NO_SUCH_GENERATION
    assert client.set_title(generation_id, "x") == NO_SUCH_GENERATION
    assert client.update(generation_id, "{}") == NO_SUCH_GENERATION


def test_the_sample_event_finds_nothing(client: Client) -> None:
    """The sample event asks for a generation that is not there."""
    assert send("get_text_generation", client.event("get_text_generation")) == NO_SUCH_GENERATION
