"""The count's function: the handler with its event, under moto."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from afterword import clock, generations
from afterword.generations import Completion, Reason, Status, Submission, SubmissionOptions
from afterword.generations.claims import Claim
from afterword.generations.items import MAX_MODEL_NAME
from afterword.models import STOP
from afterword.runtime.clients import clients
from afterword.services import services
from afterword.usage import statistics
from afterword.usage.statistics import FIRST_COUNT_REACH, Cell, Tally
from tests.conftest import Call, Event, LambdaContext, SetClock, Tenant
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES

DAY = date(2026, 11, 10)
TABLE = REFERENCES["StatisticsTable"]
OPTIONS = SubmissionOptions(flow_version=1, retention=timedelta(days=30))
pytestmark = pytest.mark.usefixtures("tenant", "set_clock")


def answered(model: str | None = "small", tokens_in: int = 100, tokens_out: int = 10) -> Completion:
    """Return an answer of a model."""
    return Completion(
        text="Hi", model=model, stop_reason=STOP, tokens_in=tokens_in, tokens_out=tokens_out
    )


def begun(flow: str = "mail-reply", tenant: str = "demo") -> Claim:
    """Return a new generation as its worker holds it."""
    submission = Submission(
        dialect="native", flow=flow, inputs={"text": "A"}, template=None, external={}
    )
    generation_id = generations.new_id()
    services().store.put(tenant, generation_id, submission, OPTIONS)
    claim = services().store.claim(tenant, generation_id, clock.now() + timedelta(minutes=1))
    assert claim is not None
    return claim


def succeed(*models: str | None, flow: str = "mail-reply", tenant: str = "demo") -> None:
    """Let a generation succeed with an answer of each model."""
    claim = begun(flow, tenant)
    *steps, last = models
    for model in steps:
        done = services().store.finish_step(claim, answered(model))
        assert done is not None
        claim = done
    together = answered(last, 100 * len(models), 10 * len(models))
    assert services().outbox.succeed(claim, together)


def counted(*, succeeded: int = 0, canceled: int = 0, answers: int = 0, **failures: int) -> Tally:
    """Return a tally, whose answers have 100 tokens in and 10 out."""
    return Tally(
        succeeded=succeeded,
        canceled=canceled,
        failures={Reason(reason): number for reason, number in failures.items()},
        answers=answers,
        tokens_in=100 * answers,
        tokens_out=10 * answers,
    )


def cell(model: str | None = "small", flow: str = "mail-reply", day: date = DAY) -> Cell:
    """Return where something of the tenant is counted."""
    return Cell("demo", day, flow, model)


def used(first: date = DAY, last: date = DAY) -> dict[Cell, Tally]:
    """Return the tenant's quotas."""
    return services().statistics.get_tallies("demo", first, last)


def rows() -> list[dict[str, Any]]:
    """Return the statistics' rows, without the position up to which ends are counted."""
    found = clients().dynamodb.scan(TableName=TABLE)["Items"]
    return [dict(item) for item in found if item["pk"]["S"] != "#"]


@pytest.fixture
def count(load_event: Callable[[str], Event]) -> Callable[[], int]:
    """Return a function that runs the function, and gives the hours that it has counted."""

    def run() -> int:
        result = invoke(
            "count_usage", load_event("count_usage"), LambdaContext(milliseconds=600_000)
        )
        assert set(result) == {"hours"}
        hours: int = result["hours"]
        return hours

    return run


@pytest.fixture(params=[False, True], ids=["before the count", "after the count"])
def read(
    request: pytest.FixtureRequest, count: Callable[[], int], set_clock: SetClock
) -> Callable[[], dict[Cell, Tally]]:
    """Return a function that reads what is used, before the hour is counted or after."""

    def run() -> dict[Cell, Tally]:
        if request.param:
            set_clock.advance(hours=2)
            assert count()
            for item in clients().dynamodb.scan(TableName=REFERENCES["GenerationsTable"])["Items"]:
                clients().dynamodb.delete_item(
                    TableName=REFERENCES["GenerationsTable"], Key={"pk": item["pk"]}
                )
        return used()

    return run


type Read = Callable[[], dict[Cell, Tally]]


def test_ends_are_counted_by_flow_and_model(read: Read) -> None:
    """An end is counted at once, and its count outlives the generation."""
    succeed("small")
    succeed("small")
    succeed("big", flow="chat")
    begun()
    assert read() == {
        cell("big", "chat"): counted(succeeded=1, answers=1),
        cell(): counted(succeeded=2, answers=2),
    }


def test_an_end_without_a_model(read: Read) -> None:
    """An end without a model, or without an answer yet, is counted under none."""
    succeed(None)
    services().outbox.cancel("demo", begun().id)
    assert read() == {cell(None): counted(succeeded=1, canceled=1)}


def test_each_step_is_counted_at_its_model(read: Read) -> None:
    """A generation counts at the model of its last answer, each answer at its own."""
    succeed("small", "big", "small")
    succeed("small", None)
    succeed("big", "small", flow="chat")
    assert read() == {
        cell("big", "chat"): counted(answers=1),
        cell("small", "chat"): counted(succeeded=1, answers=1),
        cell("big"): counted(answers=1),
        cell(): counted(succeeded=2, answers=3),
    }


def test_failures_are_counted_by_reason(read: Read) -> None:
    """A failure counts with its reason, and with the tokens of an answer that was of no use."""
    for reason, answer in (
        (Reason.EMPTY_OUTPUT, answered()),
        (Reason.EMPTY_OUTPUT, answered()),
        (Reason.REFUSED_CONTENT, None),
    ):
        assert services().outbox.fail(begun(), reason, "No.", answer)
    assert read() == {
        cell(None): counted(refused_content=1),
        cell(): counted(empty_output=2, answers=2),
    }


def test_steps_that_are_finished_count_whatever_comes_after(
    read: Read, set_clock: SetClock
) -> None:
    """The tokens of finished steps are counted of what is canceled, or fails later."""
    ids = []
    for _ in range(2):
        claim = services().store.finish_step(begun(), answered())
        assert claim is not None
        ids.append(claim.id)
    failing = services().store.finish_step(begun(), answered())
    assert failing is not None
    services().outbox.cancel("demo", ids[0])
    assert services().outbox.fail(failing, Reason.TOO_LONG, "No.", answered("big", 200, 20))
    set_clock.advance(minutes=2)
    assert (
        services().outbox.fail_unclaimed("demo", ids[1], Reason.DEADLINE, "Too late.")
        is Status.FAILED
    )
    assert read() == {
        cell("big"): counted(too_long=1, answers=1),
        cell(): counted(canceled=1, deadline=1, answers=3),
    }


def test_an_hour_is_counted_when_it_can_change_no_more(
    count: Callable[[], int], set_clock: SetClock
) -> None:
    """Until a quarter of an hour after its end an hour is read from what ended in it."""
    assert count() == FIRST_COUNT_REACH // timedelta(hours=1) - 1
    succeed("small")
    set_clock.advance(minutes=74)
    assert count() == 1
    assert rows() == []
    set_clock.advance(minutes=1)
    assert count() == 1
    assert [row["sk"]["S"] for row in rows()] == ["2026-11-10#mail-reply#small"]
    assert count() == 0
    assert used() == {cell(): counted(succeeded=1, answers=1)}


def test_a_day_is_one_row_of_hours(count: Callable[[], int], set_clock: SetClock) -> None:
    """Hours are kept side by side, and a day for 400 days; other days are not read."""
    count()
    for _ in range(3):
        succeed("small")
        set_clock.advance(hours=8)
    succeed("small")
    set_clock.advance(hours=8)
    assert used(DAY, DAY + timedelta(days=9)) == {
        cell(): counted(succeeded=2, answers=2),
        cell(day=date(2026, 11, 11)): counted(succeeded=2, answers=2),
    }
    assert count() == 32
    first, second = sorted(rows(), key=lambda row: str(row["sk"]["S"]))
    assert set(first) == {"pk", "sk", "h09", "h17", "expires_at"}
    assert set(second) == {"pk", "sk", "h01", "h09", "expires_at"}
    assert int(first["expires_at"]["N"]) == 1794268800 + 400 * 86400
    assert used(DAY, DAY) == {cell(): counted(succeeded=2, answers=2)}
    assert used(DAY - timedelta(days=9), DAY - timedelta(days=1)) == {}


def test_tenants_are_apart(
    count: Callable[[], int], set_clock: SetClock, other_tenant: Tenant
) -> None:
    """One count is for all tenants; each sees its own, one whose id begins alike too."""
    services().registry.create_tenant("demo-2", "Demo 2")
    for tenant in ("demo", "demo-2", other_tenant.id):
        succeed("small", tenant=tenant)
    one = {cell(): counted(succeeded=1, answers=1)}
    assert used() == one
    set_clock.advance(hours=2)
    count()
    assert used() == one
    for tenant in ("demo-2", other_tenant.id):
        theirs = services().statistics.get_tallies(tenant, DAY, DAY)
        assert [each.tenant for each in theirs] == [tenant]


def test_a_count_that_died_is_begun_again(
    count: Callable[[], int], set_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a count dies, and how often it is repeated, the numbers come out the same."""
    count()
    for model in ("small", "middle", "big"):
        succeed(model)
    before = used()
    set_clock.advance(hours=3)
    write = clients().dynamodb.update_item
    for survives in range(5):
        left = iter([True] * survives)

        def die(left: Iterator[bool] = left, **request: Any) -> object:  # noqa: ANN401 - botocore's
            if not next(left, False):
                raise SystemExit
            return write(**request)

        with monkeypatch.context() as patch:
            patch.setattr(clients().dynamodb, "update_item", die)
            with pytest.raises(SystemExit):
                count()
        assert used() == before
    count()
    assert (
        used()
        == before
        == {cell(model): counted(succeeded=1, answers=1) for model in ("big", "middle", "small")}
    )
    assert count() == 0


def test_a_late_count_takes_nothing_back(
    count: Callable[[], int], set_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two counts at once the slower one does not make hours count again."""
    count()
    succeed("small")
    set_clock.advance(hours=2)
    late = services().statistics
    position = late._position()  # noqa: SLF001 - the slower one's reading
    set_clock.advance(hours=2)
    assert count() == 4
    with monkeypatch.context() as patch:
        patch.setattr(type(late), "_position", lambda _: position)
        assert count() == 4
    assert count() == 0
    assert used() == {cell(): counted(succeeded=1, answers=1)}


def test_a_busy_hour_is_read_as_the_count_has_written_it(
    count: Callable[[], int],
    set_clock: SetClock,
    other_tenant: Tenant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a busy hour a read takes later ones from the count, and few ends of the index."""
    monkeypatch.setattr(statistics, "REPORTED_ENDS", 3)
    count()
    for _ in range(4):
        succeed("small")
    set_clock.advance(minutes=80)
    for _ in range(5):
        succeed("small")
    succeed("small", tenant=other_tenant.id)
    assert count() == 2
    assert used() == {cell(): counted(succeeded=9, answers=9)}
    succeed("small")
    assert used() == {cell(): counted(succeeded=9, answers=9)}  # the tenth at the next run
    assert {row["pk"]["S"] for row in rows()} == {"demo"}
    set_clock.advance(hours=1)
    assert count() == 1
    assert used() == {cell(): counted(succeeded=10, answers=10)}


def test_a_busy_hour_that_was_not_written_before_is_summed_up(
    count: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first busy hour is read whole: late, and never wrong."""
    monkeypatch.setattr(statistics, "REPORTED_ENDS", 3)
    count()
    for _ in range(5):
        succeed("small")
    assert count() == 0
    assert used() == {cell(): counted(succeeded=5, answers=5)}


def test_a_written_hour_with_few_ends_is_read_as_it_is(
    count: Callable[[], int], set_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a busy hour is as late as the count."""
    count()
    for _ in range(4):
        succeed("small")
    set_clock.advance(minutes=80)
    for _ in range(5):
        succeed("small")
    with monkeypatch.context() as patch:
        patch.setattr(statistics, "REPORTED_ENDS", 3)
        assert count() == 2
    succeed("small")
    assert used() == {cell(): counted(succeeded=10, answers=10)}


def test_a_count_stops_in_time(set_clock: SetClock, load_event: Callable[[str], Event]) -> None:
    """With little time left no hour is begun, and the next run goes on where this one stopped."""
    set_clock.advance(hours=2)
    event = load_event("count_usage")
    assert invoke("count_usage", event, LambdaContext(milliseconds=20_000)) == {"hours": 0}


def test_a_model_with_an_endless_name(read: Read) -> None:
    """A model's name is cut where it would be too long for a key."""
    succeed("m" * 5_000)
    assert read() == {cell("m" * MAX_MODEL_NAME): counted(succeeded=1, answers=1)}


def test_what_is_deleted_stays_counted(read: Read) -> None:
    """A generation that its owner deletes has been used all the same."""
    claim = services().store.finish_step(begun(), answered("big"))
    assert claim is not None
    assert services().outbox.succeed(claim, answered("small", 200, 20))
    failed = begun()
    assert services().outbox.fail(failed, Reason.EMPTY_OUTPUT, "No.", answered())
    for each in (claim, failed):
        services().store.delete("demo", each.id)
    assert read() == {
        cell("big"): counted(answers=1),
        cell(): counted(succeeded=1, empty_output=1, answers=2),
    }


def test_an_idle_count_costs_little(count: Callable[[], int], calls: list[Call]) -> None:
    """When there is nothing to count, one read tells so."""
    count()
    calls.clear()
    assert count() == 0
    assert [call.operation for call in calls] == ["dynamodb.GetItem"]
