"""Submitting through the native API: the handler with its event, under moto."""

import json
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

import pytest

from afterword import clock
from afterword.dialects.native.generations import MEMBERS
from afterword.engine import waiting
from afterword.flows.drafts import Flow
from afterword.generations import ContextFilter, Reason, Status
from afterword.knowledge import Draft
from afterword.limits import DEFAULT_WAITS, Limits
from afterword.runtime import deadline
from afterword.runtime.clients import clients
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, Call, Event, SetClock, Stored, Tenant
from tests.endpoints.conftest import HEADERS
from tests.harness.fake_model import completion
from tests.harness.native_generations import (
    PROBLEM,
    QUESTION,
    Native,
    generation,
    invalid,
    problem,
)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let generations succeed while a client waits; return the seconds that it has waited."""
    pauses: list[float] = []

    def finish(seconds: float) -> None:
        pauses.append(seconds)
        for item in clients().dynamodb.scan(TableName="generations")["Items"]:
            claim = services().store.claim(
                item["tenant"]["S"], item["id"]["S"], clock.now() + timedelta(minutes=1)
            )
            if claim is not None:
                services().outbox.succeed(claim, completion("In May."))

    def monotonic() -> float:
        return 1000.0 + sum(pauses)

    monkeypatch.setattr(waiting, "time", SimpleNamespace(sleep=finish))
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=monotonic))
    return pauses


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let nothing end while a client waits; return the seconds that it has waited."""
    pauses: list[float] = []
    time = SimpleNamespace(monotonic=lambda: 1000.0 + sum(pauses), sleep=pauses.append)
    monkeypatch.setattr(waiting, "time", time)
    monkeypatch.setattr(deadline, "time", time)
    return pauses


def test_a_submission_is_accepted(native: Native, stored: Callable[[], Stored]) -> None:
    """The answer is 202 with the generation, where to ask for it, when, and how to cancel it."""
    result = native.submit(
        {**QUESTION, "external_ref": "case-457", "metadata": {"queue": 7, "n": 1.10}}
    )
    generation_id = result["body"]["id"]
    path = f"/v1/generations/{generation_id}"
    assert result == {
        "statusCode": 202,
        "headers": {**HEADERS, "location": path, "retry-after": "1"},
        "body": generation(generation_id, external_ref="case-457", metadata={"queue": 7, "n": 1.1}),
    }
    assert stored() == Stored(items=1, messages=1, objects=0)
    submission, status = services().store.get_submission("demo", generation_id)
    assert (submission.inputs, status) == (QUESTION["inputs"], Status.QUEUED)


def test_metadata_come_back_to_the_letter(
    tenant: Tenant, load_event: Callable[[str], Event]
) -> None:
    """Numbers keep their digits and names their order; only line ends between tokens go."""
    native = Native(load_event, tenant.key)
    metadata = '{"n": 1.10, "big": 12345678901234567890123,\n "a\\nb": [1e2]}'
    body = json.dumps(QUESTION)[:-1] + f', "metadata": {metadata}}}'
    generation_id = native.submit(body)["body"]["id"]
    kept = services().store.get("demo", generation_id).external["metadata"]
    assert kept == metadata.replace("\n", " ")


def test_all_members_of_a_submission_are_taken(tenant: Tenant, native: Native) -> None:
    """Inputs of each kind, a deadline, a conversation and a choice of context are stored."""
    flow = {
        "id": "all",
        "name": "All",
        "inputs": [
            {"name": "text"},
            {"name": "number", "kind": "number"},
            {"name": "sure", "kind": "boolean"},
            {"name": "tags", "multiple": True},
        ],
        "steps": [{"name": "answer", "prompt": "{{text}}", "context": {"folders": ["Help"]}}],
    }
    services().registry.put_flow(
        tenant.id, "all", Flow.model_validate(flow).model_dump_json(exclude_unset=True)
    )
    content = services().contents.create("demo", Draft(name="A", text="B", folder="Terms"))
    result = native.submit(
        {
            "flow": "all",
            "inputs": {"text": "A", "number": 1.5, "sure": True, "tags": ["x", "y"]},
            "deadline_seconds": 60,
            "conversation": "session-1",
            "context": {"answer": {"folders": {"names": ["Terms"]}, "tags": {"ids": []}}},
        }
    )
    assert result["statusCode"] == 202, result
    submission, _ = services().store.get_submission("demo", result["body"]["id"])
    assert submission.inputs == {"text": "A", "number": "1.5", "sure": "true", "tags": ["x", "y"]}
    assert submission.deadline == timedelta(seconds=60)
    assert submission.conversation == "session-1"
    assert submission.context == {"answer": ContextFilter((content.folder.id,), ())}


@pytest.mark.parametrize(
    ("members", "field", "message"),
    [
        ({"flow": None}, "flow", "must be present."),
        ({"flow": 1}, "flow", "must be a text of 1 to 200 characters."),
        ({"flow": "none"}, "flow", "must be the id of a flow."),
        ({"inputs": []}, "inputs", "must be a JSON object."),
        ({"inputs": {}}, "inputs.text", "must be sent."),
        (
            {"inputs": {"text": {}}},
            "inputs",
            "must have texts, numbers, true, false, or lists of these.",
        ),
        ({"inputs": {"text": "A", "other": "A"}}, "inputs.other", "must be one of: text."),
        ({"external_ref": ""}, "external_ref", "must be a text of 1 to 255 characters."),
        ({"external_ref": 7}, "external_ref", "must be a text of 1 to 255 characters."),
        ({"metadata": "A"}, "metadata", "must be a JSON object."),
        ({"metadata": {"a": "x" * 16_000}}, "metadata", "must be at most 16000 bytes."),
        (
            {"deadline_seconds": 9},
            "deadline_seconds",
            "must be a whole number from 10 to 21600.",
        ),
        (
            {"deadline_seconds": True},
            "deadline_seconds",
            "must be a whole number from 10 to 21600.",
        ),
        ({"conversation": " "}, "conversation", "must be a text of 1 to 255 characters."),
        ({"context": {"x": {}}}, "context.x", "must be one of: reply."),
        (
            {"context": {"reply": {}}},
            "context.reply",
            "must be left out: this step chooses no context.",
        ),
        (
            {"color": "red"},
            "color",
            f"must be one of: {', '.join(sorted(MEMBERS))}.",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    native: Native,
    stored: Callable[[], Stored],
    members: dict[str, object],
    field: str,
    message: str,
) -> None:
    """A member that does not fit, or is unknown, is a 422 that names it, and nothing is stored."""
    assert native.submit({**QUESTION, **members}) == invalid(field, message)
    assert stored() == Stored(items=0, messages=0, objects=0)


def test_a_choice_of_context_is_checked_by_name(tenant: Tenant, native: Native) -> None:
    """Folders and tags of a step are lists of known ones, and a problem names where it is."""
    step = {"name": "answer", "prompt": "{{text}}", "context": {"folders": []}}
    flow = Flow.model_validate({"id": "ask", "name": "Ask", "steps": [step]})
    services().registry.put_flow(tenant.id, "ask", flow.model_dump_json(exclude_unset=True))

    def choose(context: object) -> object:
        return native.submit({**QUESTION, "flow": "ask", "context": {"answer": context}})

    folders = "context.answer.folders"
    assert choose({"folders": {"names": ["None"]}}) == invalid(
        folders, 'must exist, and there is no folder "None".'
    )
    known = "must be one of:"
    assert choose({"pages": {}}) == invalid("context.answer.pages", f"{known} folders, tags.")
    assert choose({"folders": {"n": 1}}) == invalid(f"{folders}.n", f"{known} ids, names.")
    assert choose({"folders": {"ids": "A"}}) == invalid(
        f"{folders}.ids", "must be a list of up to 100 texts."
    )
    assert choose({"folders": {"ids": [""]}}) == invalid(
        f"{folders}.ids", "must have texts of 1 to 200 characters."
    )


@pytest.mark.parametrize("body", ["[]", "{", "\x00"])
def test_what_is_no_json_object_is_refused(native: Native, body: str) -> None:
    """A body that cannot be read is a 400 problem."""
    result = native.submit(body)
    assert (result["statusCode"], result["headers"]) == (400, PROBLEM)
    assert result["body"]["detail"].startswith("The body ")


def test_an_end_is_waited_for_if_that_is_preferred(native: Native, worker: list[float]) -> None:
    """An end within the wait is a 200 with its output, and the preference is acknowledged."""
    result = native.submit(prefer="respond-async, wait=10")
    generation_id = result["body"]["id"]
    path = f"/v1/generations/{generation_id}"
    assert result == {
        "statusCode": 200,
        "headers": {**HEADERS, "location": path, "preference-applied": "wait=10"},
        "body": generation(
            generation_id,
            status="succeeded",
            finished_at="2026-11-10T09:00:00.000Z",
            attempts=1,
            output="In May.",
            stop_reason="stop",
            usage={
                "model": "test-model",
                "tokens_in": 120,
                "tokens_out": 40,
                "estimated": False,
            },
            links={"self": path},
        ),
    }
    assert worker == [0.1]


@pytest.mark.parametrize(
    ("asked", "waited"), [("5", 5), ("27", 27), ("28", 27), ("999999999", 27), ("0", 0)]
)
def test_a_wait_ends_in_time(native: Native, nobody: list[float], asked: str, waited: int) -> None:
    """A generation that takes longer is a 202 after the wait, of 27 seconds at most."""
    result = native.submit(prefer=f"wait={asked}")
    assert (result["statusCode"], result["body"]["status"]) == (202, "queued")
    assert result["headers"]["preference-applied"] == f"wait={waited}"
    assert sum(nobody) == pytest.approx(waited)


def test_above_the_bound_of_waits_the_answer_comes_at_once(
    native: Native, nobody: list[float]
) -> None:
    """With all of a tenant's places taken a preferred wait is left out, as RFC 7240 permits."""
    for _ in range(DEFAULT_WAITS):
        services().quotas.take_wait("demo", DEFAULT_WAITS, waiting.PLACE_TIME)
    result = native.submit(prefer="wait=10")
    assert (result["statusCode"], result["body"]["status"]) == (202, "queued")
    assert "preference-applied" not in result["headers"]
    assert sum(nobody) <= waiting.FREE_SECONDS


@pytest.mark.parametrize("preference", ["", "wait", "wait=", "wait=-1", "wait=1.5", "await=5"])
def test_a_preference_that_is_none_is_ignored(
    native: Native, nobody: list[float], preference: str
) -> None:
    """A preference that cannot be understood changes nothing, as RFC 7240 has it."""
    result = native.submit(prefer=preference)
    assert (result["statusCode"], "preference-applied" in result["headers"]) == (202, False)
    assert nobody == []


def test_the_same_key_is_the_same_generation(native: Native, stored: Callable[[], Stored]) -> None:
    """A repeated submission is answered with the first; another one is refused."""
    first = native.submit(idempotency_key="case-457")
    assert native.submit(idempotency_key="case-457") == first
    services().outbox.cancel("demo", first["body"]["id"])
    again = native.submit(idempotency_key="case-457")
    assert (again["statusCode"], again["body"]["status"]) == (200, "canceled")
    assert stored().items == 1
    assert native.submit({**QUESTION, "external_ref": "A"}, idempotency_key="case-457") == problem(
        422,
        "The Idempotency-Key was used before, for another request.",
        type="urn:problem-type:afterword:idempotency-key-reused",
        title="The Idempotency-Key stands for another request",
    )


def test_a_tenant_without_limits_has_no_rate_limit(native: Native, calls: list[Call]) -> None:
    """Where nothing is limited, no header says so, and nothing is counted."""
    headers = native.submit()["headers"]
    assert not {name for name in headers if name.startswith("ratelimit")}
    assert "quotas" not in {call.params.get("TableName") for call in calls}


def test_what_is_left_of_the_limits_is_said(
    tenant: Tenant, native: Native, set_clock: SetClock, calls: list[Call]
) -> None:
    """Each limit has its policy, what is left, and when it is whole again, at no further call."""
    limits = Limits(requests_per_minute=3, running_at_once=2, tokens_per_month=1_000)
    services().registry.set_limits(tenant.id, limits)
    native.submit()
    set_clock.advance(seconds=39)
    calls.clear()
    headers = native.submit()["headers"]
    assert headers["ratelimit-policy"] == (
        '"requests-per-minute";q=3;w=60, "running-at-once";q=2;qu="concurrent-requests",'
        ' "tokens-per-month";q=1000;w=2592000;qu="tokens"'
    )
    month = 20 * 86_400 + 15 * 3_600 - 39
    assert headers["ratelimit"] == (
        '"requests-per-minute";r=1;t=21, "running-at-once";r=0,'
        f' "tokens-per-month";r=1000;t={month}'
    )
    usage = [call.operation for call in calls if call.params.get("TableName") == "quotas"]
    assert usage == ["dynamodb.UpdateItem"]


def test_a_limit_is_a_problem_that_names_it(tenant: Tenant, native: Native) -> None:
    """429 says which limit is reached, what is left of it, and when to try again."""
    services().registry.set_limits(tenant.id, Limits(requests_per_minute=1, running_at_once=5))
    native.submit()
    result = native.submit()
    detail = "The limit of submissions a minute is 1."
    expected = problem(
        429,
        detail,
        type="https://iana.org/assignments/http-problem-types#quota-exceeded",
        title="A limit of the tenant is reached",
        **{"violated-policies": ["requests-per-minute"]},
    )
    policy = '"requests-per-minute";q=1;w=60, "running-at-once";q=5;qu="concurrent-requests"'
    assert result == {
        **expected,
        "headers": {
            **PROBLEM,
            "retry-after": "60",
            "ratelimit-policy": policy,
            "ratelimit": '"requests-per-minute";r=0;t=60, "running-at-once";r=4',
        },
    }


def test_a_key_for_one_flow_submits_to_that_alone(
    tenant: Tenant, load_event: Callable[[str], Event]
) -> None:
    """Another flow is a 403, whether it is there or not."""
    _, key = services().registry.create_key(tenant.id, [Scope.SUBMIT], flow=FLOW)
    bound = Native(load_event, key)
    assert bound.submit()["statusCode"] == 202
    refused = problem(403, "The API key is for another flow.")
    for flow in ("other", "none"):
        assert bound.submit({**QUESTION, "flow": flow}) == refused


def test_a_failure_says_why(native: Native) -> None:
    """A failed generation has its reason and message, and a link to retry it."""
    generation_id = native.submitted()
    services().outbox.fail_unclaimed("demo", generation_id, Reason.DEADLINE, "Too late.")
    path = f"/v1/generations/{generation_id}"
    assert native.ask("get_generation", generation_id)["body"] == generation(
        generation_id,
        status="failed",
        finished_at="2026-11-10T09:00:00.000Z",
        error={"reason": "deadline", "message": "Too late."},
        links={"self": path, "retry": f"{path}/retry"},
    )
