"""Reading a generation through the native API, whichever dialect it came through."""

import json
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

import pytest

from afterword import clock
from afterword.engine import waiting
from afterword.flows.drafts import Flow
from afterword.generations import (
    Completion,
    Output,
    Setback,
    SetbackReason,
    Source,
    Submission,
)
from afterword.limits import DEFAULT_WAITS
from afterword.runtime import deadline
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, Call, Event, SetClock, Tenant
from tests.endpoints.conftest import HEADERS
from tests.harness.api import invoke
from tests.harness.fake_model import completion
from tests.harness.native_generations import NOT_FOUND, Native, generation

SOURCE = Source(
    content="c-1",
    title="Terms",
    folder="f-1",
    external_id=None,
    source="https://a.example",
    used=True,
)


def succeed(generation_id: str, done: Completion) -> None:
    """End a generation as the worker does."""
    claim = services().store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
    assert claim is not None
    services().outbox.succeed(claim, done)


def put(dialect: str, **external: str) -> str:
    """Submit a question through a dialect, and return its id."""
    submission = Submission(
        dialect=dialect, flow=FLOW, inputs={"text": "When?"}, template=None, external=external
    )
    return services().submitter.submit("demo", submission)


def test_an_open_generation_says_when_to_ask_again(native: Native) -> None:
    """An open generation is a 200 with its status, and the time to ask again."""
    generation_id = native.submitted()
    assert native.ask("get_generation", generation_id) == {
        "statusCode": 200,
        "headers": {**HEADERS, "retry-after": "1"},
        "body": generation(generation_id),
    }


def test_a_waiting_generation_says_why(native: Native, set_clock: SetClock) -> None:
    """A generation has its last error while it waits and while the next attempt runs."""
    generation_id, store = native.submitted(), services().store
    claim = store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
    assert claim is not None
    setback = Setback(SetbackReason.THROTTLED, "ThrottlingException")
    next_at = clock.now() + timedelta(seconds=3)
    assert store.requeue(claim, failed=False, setback=setback, next_at=next_at)
    error = {"reason": "throttled", "code": "ThrottlingException"}
    expected = generation(
        generation_id, attempts=1, last_error={**error, "retry_at": "2026-11-10T09:00:03.000Z"}
    )
    assert native.ask("get_generation", generation_id) == {
        "statusCode": 200,
        "headers": {**HEADERS, "retry-after": "1"},
        "body": expected,
    }
    assert native.page()["body"]["items"] == [expected]
    set_clock.moment = next_at
    store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
    body = native.ask("get_generation", generation_id)["body"]
    assert (body["status"], body["last_error"]) == ("running", {**error, "retry_at": None})


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let nothing end while a client waits; return the seconds that it has waited."""
    pauses: list[float] = []
    time = SimpleNamespace(monotonic=lambda: 1000.0 + sum(pauses), sleep=pauses.append)
    monkeypatch.setattr(waiting, "time", time)
    monkeypatch.setattr(deadline, "time", time)
    return pauses


def test_an_end_is_waited_for_if_that_is_preferred(
    native: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generation that ends within the preferred time is answered then, with its end."""
    generation_id = native.submitted()

    def cancel(_seconds: float) -> None:
        services().outbox.cancel("demo", generation_id)

    monkeypatch.setattr(waiting, "time", SimpleNamespace(sleep=cancel))
    path = f"/v1/generations/{generation_id}"
    assert native.ask("get_generation", generation_id, prefer="respond-async, wait=5") == {
        "statusCode": 200,
        "headers": {**HEADERS, "preference-applied": "wait=5"},
        "body": generation(
            generation_id,
            status="canceled",
            finished_at="2026-11-10T09:00:00.000Z",
            links={"self": path, "retry": f"{path}/retry"},
        ),
    }


@pytest.mark.parametrize(
    ("asked", "applied"), [("5", 5), ("27", 27), ("28", 27), ("999999999", 27), ("0", 0)]
)
def test_a_wait_ends_in_time(native: Native, waited: list[float], asked: str, applied: int) -> None:
    """A generation that is open after the preferred time, 27 seconds at most, is answered so."""
    generation_id = native.submitted()
    assert native.ask("get_generation", generation_id, prefer=f"wait={asked}") == {
        "statusCode": 200,
        "headers": {**HEADERS, "retry-after": "1", "preference-applied": f"wait={applied}"},
        "body": generation(generation_id),
    }
    assert sum(waited) == pytest.approx(applied)


def test_above_the_bound_of_waits_the_answer_comes_at_once(
    native: Native, waited: list[float]
) -> None:
    """With all of a tenant's places taken a preferred wait is left out, and so is the header."""
    generation_id = native.submitted()
    for _ in range(DEFAULT_WAITS):
        services().quotas.take_wait("demo", DEFAULT_WAITS, waiting.PLACE_TIME)
    answer = native.ask("get_generation", generation_id, prefer="wait=7")
    assert answer == native.ask("get_generation", generation_id)
    assert sum(waited) <= waiting.FREE_SECONDS


def test_an_end_needs_no_wait(native: Native, waited: list[float], calls: list[Call]) -> None:
    """An ended generation is answered after one read, and the preference has been applied."""
    generation_id = native.submitted()
    services().outbox.cancel("demo", generation_id)
    native.ask("get_generation", generation_id)
    calls.clear()
    answer = native.ask("get_generation", generation_id, prefer="wait=7")
    assert answer["headers"] == {**HEADERS, "preference-applied": "wait=7"}
    assert ([call.operation for call in calls], waited) == (["dynamodb.GetItem"], [])


def test_what_is_foreign_is_not_waited_for(
    native: Native, other_tenant: Tenant, load_event: Callable[[str], Event], waited: list[float]
) -> None:
    """Another tenant's generation is a 404 at once, whatever is preferred."""
    generation_id = native.submitted()
    _, key = services().registry.create_key(other_tenant.id, [Scope.READ])
    other = Native(load_event, key)
    assert other.ask("get_generation", generation_id, prefer="wait=7") == NOT_FOUND
    assert waited == []


@pytest.mark.parametrize(
    ("output", "text", "shown"),
    [
        (Output.STRING, '["a"]', '["a"]'),
        (Output.ARRAY, '["a", "b"]', ["a", "b"]),
        (Output.JSON, '{"a": 1}', {"a": 1}),
    ],
)
def test_an_output_is_what_its_flow_makes(
    native: Native, output: Output, text: str, shown: object
) -> None:
    """A text is a string, an array an array, and JSON the object that it is; with its sources."""
    generation_id = native.submitted()
    done = Completion(
        text=text,
        model="m",
        stop_reason="stop",
        tokens_in=1,
        tokens_out=2,
        output=output,
        sources=(SOURCE,),
    )
    succeed(generation_id, done)
    body = native.ask("get_generation", generation_id)["body"]
    assert (body["output"], body["usage"]) == (
        shown,
        {"model": "m", "tokens_in": 1, "tokens_out": 2, "estimated": False},
    )
    assert body["sources"] == [
        {
            "content": "c-1",
            "title": "Terms",
            "folder": "f-1",
            "external_id": None,
            "source": "https://a.example",
            "used": True,
        }
    ]


@pytest.mark.parametrize("dialect", ["dialonce", "genai_stack", "promptitude", "unless"])
def test_a_generation_of_any_dialect_is_read(native: Native, dialect: str) -> None:
    """A generation of any dialect has the same shape, with its reference and metadata."""
    name = "external_metadata" if dialect == "dialonce" else "metadata"
    generation_id = put(dialect, external_ref='"case-457"', **{name: '{"n": 1}'})
    services().store.set_title("demo", generation_id, FLOW, "A claim")
    services().store.rate("demo", generation_id, FLOW, 3)
    assert native.ask("get_generation", generation_id)["body"] == generation(
        generation_id,
        dialect=dialect,
        external_ref="case-457",
        metadata={"n": 1},
        title="A claim",
        rating=3,
    )


def test_a_native_generation_is_read_through_any_dialect(
    tenant: Tenant, native: Native, load_event: Callable[[str], Event]
) -> None:
    """The other way round, each dialect shows what was submitted here."""
    generation_id = native.submitted(external_ref="case-457")
    succeed(generation_id, completion("In May."))
    _, bound = services().registry.create_key(tenant.id, [Scope.READ], flow=FLOW)

    def read(name: str, where: str, key: str) -> str:
        event = load_event(name)
        event["headers"] |= {"authorization": f"Bearer {key}", "x-api-key": key}
        event[where] |= {
            each: generation_id
            for each in event[where]
            if each in {"processCuid", "text_gen_id", "logId", "questionId"}
        }
        result = invoke(name, event)
        assert result["statusCode"] == 200, (name, result)
        text: str = result["body"]
        return text

    mail = read("get_mail_generation", "pathParameters", tenant.key)
    assert json.loads(mail) == {
        "status": "completed",
        "response": "In May.",
        "external_ref": "case-457",
        "external_metadata": None,
    }
    text = read("get_text_generation", "pathParameters", bound)
    assert json.loads(text)["outputs"] == {"text": "In May."}
    log = read("get_flow_log", "pathParameters", tenant.key)
    assert json.loads(log)["results"]["result"] == "In May."
    services().registry.put_flow(
        tenant.id,
        "chat",
        Flow.model_validate(
            {"id": "chat", "name": "C", "steps": [{"name": "a", "prompt": "{{text}}"}]}
        ).model_dump_json(exclude_unset=True),
    )
    event = load_event("get_answer")
    event["headers"] = {"x-api-key": bound}
    event["queryStringParameters"] = {"questionId": generation_id}
    answer = json.loads(invoke("get_answer", event)["body"])
    assert answer["status"] == "DONE"
    assert [turn["message"] for turn in answer["chatData"]["history"]] == [
        "When does my policy end?",
        "In May.",
    ]


def test_what_is_foreign_looks_absent(
    native: Native, other_tenant: Tenant, load_event: Callable[[str], Event]
) -> None:
    """Another tenant's, another flow's, an absent and a malformed id are the same 404."""
    generation_id = native.submitted()
    _, key = services().registry.create_key(other_tenant.id, [Scope.READ])
    assert Native(load_event, key).ask("get_generation", generation_id) == NOT_FOUND
    for absent in ("019a6f3e-7c00-7000-8000-000000000009", "nonsense", generation_id.upper()):
        assert native.ask("get_generation", absent) == NOT_FOUND


def test_a_key_for_one_flow_reads_that_alone(
    native: Native, tenant: Tenant, load_event: Callable[[str], Event]
) -> None:
    """Another flow's generation looks absent to it."""
    generation_id = native.submitted()
    step = {"name": "a", "prompt": "{{text}}"}
    flow = Flow.model_validate({"id": "other", "name": "Other", "steps": [step]})
    services().registry.put_flow(tenant.id, "other", flow.model_dump_json(exclude_unset=True))
    for flow_id, status in (("other", 404), (FLOW, 200)):
        _, key = services().registry.create_key(tenant.id, [Scope.READ], flow=flow_id)
        result = Native(load_event, key).ask("get_generation", generation_id)
        assert result["statusCode"] == status
        assert status == 200 or result == NOT_FOUND
