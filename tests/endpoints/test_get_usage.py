"""Usage through the native API: the handler with its event, under moto."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest

from afterword import clock, generations
from afterword.generations import Completion, Reason, Submission, SubmissionOptions
from afterword.models import STOP
from afterword.runtime.deadline import Deadline
from afterword.services import services
from tests.conftest import FLOW, FLOW_DOCUMENT, Call, SetClock, Tenant
from tests.harness.administration import (
    Administration,
    answer,
    invalid,
)

LITE, CLAUDE, OWN = "amazon.nova-lite-v1:0", "eu.anthropic.claude-3-haiku-20240307-v1:0", "own"
WHEN = "must be a day such as 2026-11-30."


def end(
    model: str | None = LITE, flow: str = FLOW, tenant: str = "demo", *, good: bool = True
) -> None:
    """Let a generation end with an answer of 1,000 tokens in and 500 out."""
    submission = Submission(
        dialect="native", flow=flow, inputs={"text": "A"}, template=None, external={}
    )
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30))
    generation_id = generations.new_id()
    services().store.put(tenant, generation_id, submission, options)
    claim = services().store.claim(tenant, generation_id, clock.now() + timedelta(minutes=1))
    assert claim is not None
    answered = Completion(text="Hi", model=model, stop_reason=STOP, tokens_in=1_000, tokens_out=500)
    if good:
        assert services().outbox.succeed(claim, answered)
    else:
        assert services().outbox.fail(claim, Reason.INVALID_OUTPUT, "No.", answered)


def used(
    succeeded: int, cost: str | None, failed: int = 0, answers: int | None = None
) -> Mapping[str, object]:
    """Return how generations of one answer each are shown."""
    answers = succeeded + failed if answers is None else answers
    return {
        "generations": succeeded + failed,
        "succeeded": succeeded,
        "failed": failed,
        "canceled": 0,
        "failures": {"invalid_output": failed} if failed else {},
        "answers": answers,
        "tokens_in": 1_000 * answers,
        "tokens_out": 500 * answers,
        "feedback": {},
        "cost": cost,
    }


def report(
    groups: list[Mapping[str, object]], total: Mapping[str, object], *unpriced: str, by: str = "day"
) -> object:
    """Return the answer for November."""
    body = {
        "from": "2026-11-01",
        "to": "2026-11-30",
        "by": by.split(","),
        "groups": groups,
        "total": total,
        "prices": {"currency": "USD", "as_of": "2026-04-10", "unpriced_models": list(unpriced)},
    }
    return answer(200, body)


NOVEMBER = {"from": "2026-11-01", "to": "2026-11-30"}


def test_a_month_by_day_flow_and_model(
    administration: Administration, set_clock: SetClock, other_tenant: Tenant
) -> None:
    """Each combination has its generations, tokens and cost, and no other tenant's."""
    end()
    end(good=False)
    end(CLAUDE, "chat")
    end(tenant=other_tenant.id)
    set_clock.advance(days=1)
    end()
    of = {"day": "2026-11-10", "flow": FLOW, "model": LITE}
    chat = {**of, "flow": "chat", "model": CLAUDE}
    next_day = {**of, "day": "2026-11-11"}
    assert administration.call("get_usage") == report(
        [
            {**chat, **used(1, "0.000875")},
            {**of, **used(1, "0.000360", failed=1)},
            {**next_day, **used(1, "0.000180")},
        ],
        used(3, "0.001415", failed=1),
        by="day,flow,model",
    )


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("day", [{"day": "2026-11-10"}]),
        ("model", [{"model": LITE}]),
        ("flow,flow", [{"flow": FLOW}]),
        ("model, flow", [{"flow": FLOW, "model": LITE}]),
    ],
)
def test_groups_are_as_it_is_asked_for(
    administration: Administration, by: str, groups: list[Mapping[str, object]]
) -> None:
    """Days, flows and models are added up unless they are named; their order is always the same."""
    end()
    end()
    result = administration.call("get_usage", query={**NOVEMBER, "by": by})
    assert result["body"]["by"] == list(groups[0])
    assert result["body"]["groups"] == [{**group, **used(2, "0.000360")} for group in groups]


def test_a_model_without_a_price_has_no_cost(administration: Administration) -> None:
    """An unknown price is null and never nought, in each sum with it, and is named."""
    end(OWN)
    end()
    assert administration.call("get_usage", query={**NOVEMBER, "by": "model"}) == report(
        [
            {"model": LITE, **used(1, "0.000180")},
            {"model": OWN, **used(1, None)},
        ],
        used(2, None),
        OWN,
        by="model",
    )


def test_what_needed_no_model_costs_nothing(administration: Administration) -> None:
    """A generation for which no model was asked is under none, at no cost."""
    end(None)
    assert administration.call("get_usage", query={**NOVEMBER, "by": "model"}) == report(
        [{"model": None, **used(1, "0.000000", answers=0)}],
        used(1, "0.000000", answers=0),
        by="model",
    )


def test_thirty_days_by_day_are_the_default(administration: Administration) -> None:
    """Without parameters it is the thirty days up to today, and nothing used is nothing."""
    body = administration.call("get_usage", query={})["body"]
    assert (body["from"], body["to"], body["by"]) == ("2026-10-12", "2026-11-10", ["day"])
    assert (body["groups"], body["total"]) == ([], used(0, "0.000000"))


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ({"from": "2026-11-31"}, "from", WHEN),
        ({"from": "20261101"}, "from", WHEN),
        ({"to": "yesterday"}, "to", WHEN),
        ({"to": "9999-12-31"}, "to", WHEN),
        ({"to": ""}, "to", WHEN),
        ({"from": "2026-12-01"}, "from", "must not be after `to`."),
        (
            {"from": "2026-08-10", "to": "2026-11-10"},
            "from",
            "must be less than 92 days before `to`.",
        ),
        ({"by": "hour"}, "by", "must be one or more of: day, flow, model."),
        ({"by": ""}, "by", "must be one or more of: day, flow, model."),
        ({"since": "2026-11-01"}, "query", "must be of: from, to, by."),
    ],
)
def test_what_cannot_be_asked_for(
    administration: Administration, query: Mapping[str, str], field: str, message: str
) -> None:
    """A parameter that does not fit is named."""
    assert administration.call("get_usage", query=query) == invalid((field, message))


def test_92_days_can_be_asked_for(administration: Administration) -> None:
    """A quarter fits into one answer, whose reads are those of what is not summed up yet."""
    end()
    query = {"from": "2026-08-11", "to": "2026-11-10"}
    assert administration.call("get_usage", query=query)["body"]["total"] == used(1, "0.000180")


def test_a_read_costs_little_while_the_count_runs(
    administration: Administration, set_clock: SetClock, calls: list[Call]
) -> None:
    """A quarter takes one query of the table, and four for each hour that is not summed up."""
    end()
    set_clock.advance(hours=4)
    services().statistics.count_hours(Deadline.after(600))
    administration.call("list_flows")  # the key is known from now on
    calls.clear()
    query = {"from": "2026-08-11", "to": "2026-11-10"}
    assert administration.call("get_usage", query=query)["body"]["total"] == used(1, "0.000180")
    assert [call.operation for call in calls] == ["dynamodb.GetItem", *["dynamodb.Query"] * 9]


def test_a_bound_key_sees_its_flow_alone(
    administration: Administration,
    administration_of: Callable[..., Administration],
    tenant: Tenant,
) -> None:
    """A key for one flow is shown what that flow has used."""
    services().registry.put_flow("demo", "chat", FLOW_DOCUMENT)
    end()
    end(CLAUDE, "chat")
    bound = administration_of(tenant, flow=FLOW)
    body = bound.call("get_usage", query={**NOVEMBER, "by": "flow"})["body"]
    assert body["groups"] == [{"flow": FLOW, **used(1, "0.000180")}]
    assert body["total"] == used(1, "0.000180")
    assert administration.call("get_usage")["body"]["total"]["generations"] == 2
