"""The metrics of generations: whole lines, as CloudWatch takes them, from the real handlers."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest

from afterword import clock
from afterword.generations import Completion, Reason, Submission, SubmissionOptions
from afterword.models import (
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
    Prompt,
)
from afterword.services import services
from tests.conftest import FLOW, START, Event, SetClock, Tenant
from tests.harness import embedded_metrics
from tests.harness.api import invoke
from tests.harness.embedded_metrics import Line, MetricLines
from tests.harness.fake_model import FakeModel, completion
from tests.harness.native_generations import Native

ID = "019a6f3e-7c00-7000-8000-000000000001"
STACK = "afterword-prod"
THINKS = 1.5
"""Seconds that the model takes to answer, or not to."""
FACTS = {"tenant": "demo", "flow": FLOW, "generation_id": ID}
ANSWERED = {"TimeInModel": 1500, "TokensIn": 120, "TokensOut": 40}
STEPS = {
    "id": FLOW,
    "name": "In steps",
    "steps": [
        {"name": "facts", "prompt": "List: {{body}}", "model": "small"},
        {"name": "draft", "prompt": "Write: {{facts}}", "model": "big"},
        {"name": "reply", "prompt": "Check: {{draft}}", "model": "small"},
    ],
}

type Answer = Callable[[Prompt], Completion]
type Work = Callable[[Answer], None]


def expected(
    values: Mapping[str, float],
    dimensions: tuple[str, ...] = ("stack", "stack tenant flow"),
    at: float = 0.0,
    **facts: object,
) -> Line:
    """Return a metric line of the sample events' generation, some seconds after its submission."""
    return {
        "_aws": {
            "Timestamp": clock.to_millis(START + timedelta(seconds=at)),
            "CloudWatchMetrics": [
                {
                    "Namespace": "afterword",
                    "Dimensions": [names.split() for names in dimensions],
                    "Metrics": [
                        {
                            "Name": name,
                            "Unit": "Milliseconds" if name.startswith("Time") else "Count",
                        }
                        for name in values
                    ],
                }
            ],
        },
        "stack": STACK,
        **FACTS,
        **facts,
        **{name: [value] for name, value in values.items()},
    }


def of_model(
    values: Mapping[str, float], model: str = "test-model", at: float = 0.0, **facts: object
) -> Line:
    """Return such a line of an attempt that has asked a model."""
    dimensions = ("stack", "stack tenant flow", "stack model")
    return expected(values, dimensions, at, model=model, **facts)


@pytest.fixture(autouse=True)
def stack(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - for its effect
    """Give the stack a name, and metrics by flow and model."""
    monkeypatch.setenv("AFTERWORD_STACK", STACK)
    monkeypatch.setenv("AFTERWORD_FLOW_METRICS", "true")


@pytest.fixture
def metric_lines(log: object, capsys: pytest.CaptureFixture[str]) -> MetricLines:  # noqa: ARG001 - the log is not in it
    """Return a function that gives the metric lines that were written since it was asked last."""
    return lambda: [embedded_metrics.read(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def put(tenant: Tenant, set_clock: SetClock) -> Callable[..., None]:  # noqa: ARG001 - its clock
    """Return a function that queues the generation of the sample events, or another."""

    def put(generation_id: str = ID, template: str | None = None) -> None:
        submission = Submission(
            dialect="dialonce",
            flow=FLOW,
            inputs={"body": "Hello"},
            template=template,
            external={},
        )
        version = services().registry.get_flow(tenant.id, FLOW).version
        options = SubmissionOptions(flow_version=version, retention=timedelta(days=30))
        services().store.put(tenant.id, generation_id, submission, options)

    return put


@pytest.fixture
def run(
    load_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    set_clock: SetClock,
) -> Work:
    """Return a function that runs the worker with a model that thinks for THINKS seconds."""

    def run(answer: Answer) -> None:
        def think(prompt: Prompt) -> Completion:
            set_clock.advance(seconds=THINKS)
            return answer(prompt)

        use_model(FakeModel(think))
        invoke("generate", load_event("generate"))

    return run


def fails(error: Exception) -> Answer:
    """Return an answer that is none."""

    def answer(_: Prompt) -> Completion:
        raise error

    return answer


def says(text: str) -> Answer:
    """Return an answer that is always this."""
    return lambda _: completion(text)


def test_a_success(
    put: Callable[..., None], run: Work, set_clock: SetClock, metric_lines: MetricLines
) -> None:
    """One line has its time in the queue, the model's time and tokens, and its end."""
    put()
    set_clock.advance(seconds=12.25)
    run(says("Dear Ada,"))
    assert metric_lines() == [
        of_model(
            {"TimeInQueue": 12_250, **ANSWERED, "Succeeded": 1, "Failed": 0}, at=13.75, attempt=1
        ),
    ]


@pytest.mark.parametrize("reason", [Reason.REFUSED_CONTENT, Reason.TOO_LONG])
def test_a_failure(
    put: Callable[..., None], run: Work, metric_lines: MetricLines, reason: Reason
) -> None:
    """The reason is told, and is no dimension; a success is counted too, as none."""
    put()
    run(fails(ModelRefusedError(reason, "No.")))
    values = {"TimeInQueue": 0, "TimeInModel": 1500, "Succeeded": 0, "Failed": 1}
    assert metric_lines() == [of_model(values, at=1.5, attempt=1, reason=reason)]


def test_an_answer_that_is_of_no_use(
    put: Callable[..., None], run: Work, metric_lines: MetricLines
) -> None:
    """A failed attempt's tokens are counted where the model has told them."""
    put()
    run(says(""))
    values = {"TimeInQueue": 0, **ANSWERED, "Succeeded": 0, "Failed": 1}
    assert metric_lines() == [of_model(values, at=1.5, attempt=1, reason="empty_output")]


@pytest.mark.parametrize(
    "error", [ModelUnavailableError("Busy."), ModelTimedOutError("No answer.")]
)
def test_a_requeue(
    put: Callable[..., None],
    run: Work,
    set_clock: SetClock,
    metric_lines: MetricLines,
    error: Exception,
) -> None:
    """An attempt that queues it again is counted; the next one's time in the queue is not."""
    put()
    run(fails(error))
    set_clock.advance(minutes=1)
    run(says("Dear Ada,"))
    assert metric_lines() == [
        of_model({"TimeInQueue": 0, "TimeInModel": 1500, "Requeued": 1}, at=1.5, attempt=1),
        of_model({**ANSWERED, "Succeeded": 1, "Failed": 0}, at=63.0, attempt=2),
    ]


def test_what_times_out_for_the_last_time(
    put: Callable[..., None], run: Work, set_clock: SetClock, metric_lines: MetricLines
) -> None:
    """The third attempt without an answer in time is the end, and is requeued no more."""
    put()
    for _ in range(3):
        run(fails(ModelTimedOutError("No answer.")))
        set_clock.advance(minutes=1)
    assert metric_lines() == [
        of_model({"TimeInQueue": 0, "TimeInModel": 1500, "Requeued": 1}, at=1.5, attempt=1),
        of_model({"TimeInModel": 1500, "Requeued": 1}, at=63.0, attempt=2),
        of_model(
            {"TimeInModel": 1500, "Succeeded": 0, "Failed": 1},
            at=124.5,
            attempt=3,
            reason="timed_out",
        ),
    ]


def test_a_flow_of_several_models(
    put: Callable[..., None], run: Work, metric_lines: MetricLines
) -> None:
    """Each model has what it took, in one line, and the end is in that of the last one asked."""
    services().registry.put_flow("demo", FLOW, json.dumps(STEPS))
    put()
    run(says("Dear Ada,"))
    assert metric_lines() == [
        of_model(ANSWERED, "big", at=4.5, attempt=1),
        of_model(
            {
                "TimeInQueue": 0,
                "TimeInModel": 3000,
                "TokensIn": 240,
                "TokensOut": 80,
                "Succeeded": 1,
                "Failed": 0,
            },
            "small",
            at=4.5,
            attempt=1,
        ),
    ]


def test_steps_of_an_earlier_attempt_are_not_counted_again(
    put: Callable[..., None], run: Work, set_clock: SetClock, metric_lines: MetricLines
) -> None:
    """A step is counted by the attempt that asked, however the generation ends."""
    services().registry.put_flow("demo", FLOW, json.dumps(STEPS))
    put()

    def answer(prompt: Prompt) -> Completion:
        if prompt.model == "big":
            raise ModelUnavailableError("Busy.")
        return completion("Facts")

    run(answer)
    waited = {"TimeInQueue": 0, "TimeInModel": 1500, "Requeued": 1}
    assert metric_lines() == [
        of_model(ANSWERED, "small", at=3.0, attempt=1),
        of_model(waited, "big", at=3.0, attempt=1),
    ]
    set_clock.advance(minutes=1)
    run(says("Dear Ada,"))
    assert metric_lines() == [
        of_model(ANSWERED, "big", at=66.0, attempt=2),
        of_model({**ANSWERED, "Succeeded": 1, "Failed": 0}, "small", at=66.0, attempt=2),
    ]


def test_a_text_that_needs_no_model(
    put: Callable[..., None], run: Work, metric_lines: MetricLines
) -> None:
    """Where none is asked there is no time, no token and no model to count."""
    put(template="Thank you.")
    run(fails(AssertionError()))
    values = {"TimeInQueue": 0, "Succeeded": 1, "Failed": 0}
    assert metric_lines() == [expected(values, attempt=1)]


def test_a_cancellation(native: Native, metric_lines: MetricLines) -> None:
    """A cancel is counted once, and is neither a success nor a failure."""
    generation_id = native.submitted()
    assert metric_lines() == []
    for _ in range(2):
        assert native.ask("cancel_generation", generation_id)["statusCode"] == 200
    assert metric_lines() == [expected({"Canceled": 1}, generation_id=generation_id, attempt=0)]


def test_what_is_canceled_while_it_runs(
    put: Callable[..., None], run: Work, metric_lines: MetricLines
) -> None:
    """A cancel is the one end: the worker's later result is not counted."""
    put()

    def answer(_: Prompt) -> Completion:
        services().outbox.cancel("demo", ID)
        return completion("Too late")

    run(answer)
    assert metric_lines() == [expected({"Canceled": 1}, at=1.5, attempt=1)]


@pytest.mark.parametrize(
    "late", [says("Too late"), fails(ModelUnavailableError("Busy.")), says("")]
)
def test_a_claim_that_is_lost_counts_nothing(
    put: Callable[..., None],
    run: Work,
    set_clock: SetClock,
    metric_lines: MetricLines,
    late: Answer,
) -> None:
    """A generation is counted by the attempt that holds its claim, and by no earlier one."""
    put()

    def answer(prompt: Prompt) -> Completion:
        set_clock.advance(minutes=10)
        assert services().store.claim("demo", ID, clock.now() + timedelta(minutes=5))
        return late(prompt)

    run(answer)
    assert metric_lines() == []


def test_what_the_sweeper_fails(
    put: Callable[..., None],
    set_clock: SetClock,
    load_event: Callable[[str], Event],
    metric_lines: MetricLines,
) -> None:
    """Past its deadline it has failed, though no worker ever saw it; two sweepers count it once."""
    put()
    set_clock.advance(hours=1)
    for _ in range(2):
        invoke("sweep", load_event("sweep"))
    of_generation, of_sweep = metric_lines()
    assert of_generation == expected(
        {"Succeeded": 0, "Failed": 1}, at=3600, attempt=0, reason="deadline"
    )
    assert (of_sweep["Repaired"], of_sweep["failed"]) == ([1], 1)


def test_a_dead_letter(
    put: Callable[..., None], load_event: Callable[[str], Event], metric_lines: MetricLines
) -> None:
    """A dead letter is one failure, however often its message comes."""
    put()
    for _ in range(2):
        invoke("dead_letter", load_event("dead_letter"))
    assert metric_lines() == [
        expected({"Succeeded": 0, "Failed": 1}, attempt=0, reason="dead_letter")
    ]


def test_only_the_stack_has_metrics_if_that_is_wanted(
    put: Callable[..., None],
    run: Work,
    metric_lines: MetricLines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CloudWatch charges for each flow and model: without them there is one dimension."""
    monkeypatch.setenv("AFTERWORD_FLOW_METRICS", "false")
    put()
    run(says("Dear Ada,"))
    assert metric_lines() == [
        expected(
            {"TimeInQueue": 0, **ANSWERED, "Succeeded": 1, "Failed": 0},
            ("stack",),
            at=1.5,
            attempt=1,
            model="test-model",
        ),
    ]


def test_ten_at_once(
    put: Callable[..., None],
    load_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    metric_lines: MetricLines,
) -> None:
    """The generations of a batch run in threads, and each has its own lines, whole."""
    ids = [f"019a6f3e-7c00-7000-8000-{number:012}" for number in range(10)]
    event = load_event("generate")
    (record,) = event["Records"]
    event["Records"] = []
    for each in ids:
        put(each)
        body = json.dumps({"tenant": "demo", "id": each})
        event["Records"].append({**record, "messageId": each, "body": body})
    use_model(FakeModel(says("Dear Ada,")))
    invoke("generate", event)
    lines = metric_lines()
    assert sorted(line["generation_id"] for line in lines if "TimeInQueue" in line) == ids
    assert sorted(line["generation_id"] for line in lines if "Succeeded" in line) == ids
    assert len(lines) == 10
