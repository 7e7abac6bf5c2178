"""`afterword dead-letters`, under moto."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from afterword import clock
from afterword.generations import (
    Reason,
    Status,
    Submission,
    SubmissionOptions,
    id_for_retry,
    new_id,
)
from afterword.generations.store import GenerationStore
from afterword.limits import Limits
from afterword.runtime.clients import clients
from afterword.runtime.payloads import INLINE_BYTES
from afterword.services import services
from afterword.tenants.registry import Registry
from tests.cli.conftest import Afterword, usage_error
from tests.conftest import FLOW, FLOW_DOCUMENT, SetClock, Stored
from tests.harness.deployment import REFERENCES

pytestmark = pytest.mark.usefixtures("stack")

LIST, RESUBMIT = ("dead-letters", "list", "demo"), ("dead-letters", "resubmit", "demo")
UNKNOWN = "019a6f3e-7c00-7000-8000-000000000009"
SUBMISSION = Submission(
    dialect="dialonce",
    flow=FLOW,
    inputs={"subject": "Refund", "body": "When will I get it?"},
    template=None,
    external={"external_ref": '"case-457"'},
)
FACTS = {
    "ApproximateReceiveCount": "1000",
    "SentTimestamp": "1794301200000",
    "SenderId": "AROAEXAMPLE:submit",
    "ApproximateFirstReceiveTimestamp": "1794301200010",
}

type Bury = Callable[..., str]


@pytest.fixture(autouse=True)
def tenants(registry: Registry) -> None:
    """Create the tenants demo and other with a mail flow."""
    for tenant in ("demo", "other"):
        registry.create_tenant(tenant, tenant.title())
        registry.put_flow(tenant, FLOW, FLOW_DOCUMENT)


@pytest.fixture
def bury(store: GenerationStore, set_clock: SetClock) -> Bury:
    """Return a function that makes a dead letter, a minute after the one before."""
    numbers: Iterator[int] = iter(range(1, 100))

    def make(tenant: str = "demo", facts: dict[str, str] = FACTS) -> str:
        generation_id = new_id()
        options = SubmissionOptions(flow_version=1, retention=timedelta(days=7))
        store.put(tenant, generation_id, SUBMISSION, options)
        store.claim(tenant, generation_id, clock.now() + timedelta(seconds=30))
        set_clock.advance(minutes=1)
        letter = {"MessageId": f"message-{next(numbers)}", **facts}
        status = services().outbox.fail_unclaimed(
            tenant, generation_id, Reason.DEAD_LETTER, "Too often.", letter
        )
        assert status is Status.FAILED
        return generation_id

    return make


def bodies() -> list[Any]:
    """Return the messages in the worker's queue."""
    received = (
        clients()
        .sqs.receive_message(QueueUrl=REFERENCES["Queue"], MaxNumberOfMessages=10)
        .get("Messages", [])
    )
    return [json.loads(message["Body"]) for message in received]


def test_dead_letters_are_listed_newest_first(afterword: Afterword, bury: Bury) -> None:
    """`list` shows a tenant's own dead letters, with how often each message was received."""
    first, second = bury(), bury(facts={})
    bury("other")
    listed = afterword(*LIST)
    assert (listed.exit_code, listed.stderr) == (0, "")
    blank = " " * 36
    assert listed.stdout.splitlines() == [
        f"ID{blank}FLOW        ATTEMPTS  FINISHED (UTC)    RECEIVED  MESSAGE",
        f"{second}  mail-reply  1         2026-11-10 09:02            message-2",
        f"{first}  mail-reply  1         2026-11-10 09:01  1000      message-1",
    ]
    as_json = json.loads(afterword(*LIST, "--json").stdout)
    assert as_json == [
        {
            "id": second,
            "flow": "mail-reply",
            "attempts": 1,
            "finished_at": "2026-11-10T09:02:00+00:00",
            "received": None,
            "sent_at": None,
            "first_received_at": None,
            "message_id": "message-2",
        },
        {
            "id": first,
            "flow": "mail-reply",
            "attempts": 1,
            "finished_at": "2026-11-10T09:01:00+00:00",
            "received": 1000,
            "sent_at": "2026-11-10T09:00:00+00:00",
            "first_received_at": "2026-11-10T09:00:00.010000+00:00",
            "message_id": "message-1",
        },
    ]


def test_a_dead_letter_is_submitted_again(
    afterword: Afterword, store: GenerationStore, bury: Bury
) -> None:
    """A resubmission is a new generation that asks for the same and names the old one."""
    old, other = bury(), bury()
    result = afterword(*RESUBMIT, old)
    new = id_for_retry("demo", old)
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        f"{old} -> {new}\n",
        "Submitted 1 of 1 again.\n",
    )
    generation = store.get("demo", new)
    assert (generation.status, generation.retry_of) == (Status.QUEUED, old)
    submission, _ = store.get_submission("demo", new)
    assert (submission.inputs, submission.external) == (SUBMISSION.inputs, SUBMISSION.external)
    assert bodies() == [{"tenant": "demo", "id": new}]
    assert store.get("demo", old).status is Status.FAILED
    assert [letter["id"] for letter in json.loads(afterword(*LIST, "--json").stdout)] == [other]


def test_the_new_generation_says_whose_retry_it_is(afterword: Afterword, bury: Bury) -> None:
    """`watch --json` of a resubmission names the generation that it repeats."""
    old = bury()
    new = afterword(*RESUBMIT, old).stdout.split()[-1]
    afterword("cancel", "demo", new)
    assert json.loads(afterword("watch", "demo", new, "--json").stdout)["retry_of"] == old


def test_submitting_twice_again_makes_one_generation(
    afterword: Afterword, bury: Bury, stored: Callable[[], Stored]
) -> None:
    """The same command, run again, shows the same new generation."""
    old = bury()
    first, second = afterword(*RESUBMIT, old), afterword(*RESUBMIT, old)
    assert (second.exit_code, second.stdout) == (0, first.stdout)
    assert stored().items == 2


def test_all_dead_letters_are_submitted_again(
    afterword: Afterword, bury: Bury, stored: Callable[[], Stored]
) -> None:
    """`resubmit --all` takes all that are listed, oldest first, and no other tenant's."""
    ids = [bury() for _ in range(3)]
    bury("other")
    result = afterword(*RESUBMIT, "--all")
    assert (result.exit_code, result.stderr) == (0, "Submitted 3 of 3 again.\n")
    assert result.stdout.splitlines() == [f"{old} -> {id_for_retry('demo', old)}" for old in ids]
    assert stored().items == 7
    none_left = afterword(*RESUBMIT, "--all")
    assert (none_left.exit_code, none_left.stdout, none_left.stderr) == (
        0,
        "",
        "Tenant demo has no dead letters.\n",
    )
    assert json.loads(afterword(*RESUBMIT, "--all", "--json").stdout) == []


def test_what_cannot_be_submitted_again_is_told_and_the_others_go_on(
    afterword: Afterword, store: GenerationStore, bury: Bury
) -> None:
    """An id that is unknown, foreign or not failed is one line, the rest is done; exit code 1."""
    foreign, old = bury("other"), bury()
    queued = afterword("submit", "demo", FLOW, "--body", "Hi").stdout.strip()
    new = id_for_retry("demo", old)
    result = afterword(*RESUBMIT, UNKNOWN, foreign, queued, old)
    not_there = "There is no such generation."
    still_open = (
        f"Generation {queued} is queued: only a failed or canceled one can be submitted again."
    )
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        f"{old} -> {new}\n",
        (
            f"afterword: {UNKNOWN}: {not_there}\n"
            f"afterword: {foreign}: {not_there}\n"
            f"afterword: {queued}: {still_open}\n"
            "Submitted 1 of 4 again.\n"
        ),
    )
    as_json = afterword(*RESUBMIT, UNKNOWN, old, "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout) == [
        {"id": UNKNOWN, "retried_as": None, "message": not_there},
        {"id": old, "retried_as": new, "message": None},
    ]
    assert store.get("demo", new).status is Status.QUEUED


def test_a_letter_whose_texts_are_gone_is_told_and_the_others_go_on(
    afterword: Afterword, bury: Bury, store: GenerationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead letter without its inputs, which have expired, ends no resubmission of the others."""
    big = replace(SUBMISSION, inputs={"body": "x" * 2 * INLINE_BYTES})
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "SUBMISSION", big)
        gone = bury()
    (listed,) = clients().s3.list_objects_v2(Bucket=REFERENCES["Bucket"])["Contents"]
    clients().s3.delete_object(Bucket=REFERENCES["Bucket"], Key=listed["Key"])
    there = bury()
    outcome = afterword(*RESUBMIT, "--all")
    assert outcome.exit_code == 1
    assert f"{gone}: A text of this record is gone from storage." in outcome.stderr
    assert store.get("demo", id_for_retry("demo", there)).retry_of == there


def test_a_limit_stops_and_the_same_command_goes_on_later(
    afterword: Afterword, registry: Registry, bury: Bury, set_clock: SetClock
) -> None:
    """When a limit is reached it says how many are done; the same command does the others."""
    ids = [bury() for _ in range(3)]
    registry.set_limits("demo", Limits(requests_per_minute=2))
    stopped = afterword(*RESUBMIT, "--all")
    assert (stopped.exit_code, stopped.stderr) == (
        1,
        (
            "afterword: The limit of submissions a minute is 2. 2 of 3 are submitted again: the"
            " same command goes on with the others. Try again in 60 s.\n"
        ),
    )
    news = [f"{old} -> {id_for_retry('demo', old)}" for old in ids]
    assert stopped.stdout.splitlines() == news[:2]
    set_clock.advance(minutes=1)
    rest = afterword(*RESUBMIT, "--all")
    assert (rest.exit_code, rest.stdout.splitlines()) == (0, news[2:])


def test_a_limit_stops_with_what_is_done_as_json(
    afterword: Afterword, registry: Registry, bury: Bury
) -> None:
    """With --json, what was submitted before the limit is printed all the same."""
    first, _ = bury(), bury()
    registry.set_limits("demo", Limits(running_at_once=1))
    result = afterword(*RESUBMIT, "--all", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (
        1,
        [{"id": first, "retried_as": id_for_retry("demo", first), "message": None}],
    )


def test_a_resubmission_stands_although_its_message_cannot_be_sent(
    afterword: Afterword, store: GenerationStore, bury: Bury
) -> None:
    """When the queue is gone the new generation is made all the same, and a warning printed."""
    old = bury()
    clients().sqs.delete_queue(QueueUrl=REFERENCES["Queue"])
    result = afterword(*RESUBMIT, old)
    assert result.exit_code == 0
    assert result.stderr.startswith("afterword: accepted, but could not send its message: An")
    assert store.get("demo", id_for_retry("demo", old)).status is Status.QUEUED


def test_people_see_a_bar(
    afterword: Afterword, bury: Bury, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal a bar counts on standard error; standard output has the results alone."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    ids = [bury(), bury()]
    result = afterword(*RESUBMIT, *ids, UNKNOWN)
    assert result.stdout.splitlines() == [f"{old} -> {id_for_retry('demo', old)}" for old in ids]
    assert "0/3" in result.stderr
    assert "3/3" in result.stderr
    in_place_of_the_bar = "\r\x1b[2K"
    assert f"{in_place_of_the_bar}afterword: {UNKNOWN}: There is no such" in result.stderr


@pytest.mark.parametrize("command", [LIST[:2], (*RESUBMIT[:2], "--all"), (*RESUBMIT[:2], UNKNOWN)])
def test_dead_letters_need_a_tenant(afterword: Afterword, command: tuple[str, ...]) -> None:
    """Without such a tenant there is nothing to list and nothing to submit again."""
    name, verb, *rest = command
    result = afterword(name, verb, "nobody", *rest)
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        "afterword: There is no tenant nobody.\n",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Invalid value for ID: give at least one, or --all"),
        ((UNKNOWN, "--all"), "Invalid value for --all: takes all: give no ID beside it"),
    ],
)
def test_all_or_some_must_be_said(
    afterword: Afterword, bury: Bury, arguments: tuple[str, ...], message: str
) -> None:
    """Without an id, or with ids and --all, it is a usage error and nothing is done."""
    old = bury()
    assert message in usage_error(afterword(*RESUBMIT, *arguments))
    assert [letter["id"] for letter in json.loads(afterword(*LIST, "--json").stdout)] == [old]
