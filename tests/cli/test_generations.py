"""`afterword submit`, `watch` and `cancel`, under moto, with a worker that the test plays."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from afterword import clock
from afterword.generations import (
    GONE,
    MAX_DEADLINE,
    Completion,
    Reason,
    Setback,
    SetbackReason,
    Source,
)
from afterword.generations.store import GenerationStore
from afterword.limits import Limits
from afterword.runtime.clients import clients
from afterword.services import services
from afterword.tenants.registry import Registry
from cli import terminal
from tests.cli.conftest import Afterword, CloudFormation, usage_error
from tests.conftest import FLOW, FLOW_DOCUMENT, SetClock, Stored
from tests.harness.deployment import REFERENCES

if TYPE_CHECKING:
    from afterword.generations.claims import Claim

pytestmark = pytest.mark.usefixtures("stack")

MAIL = ("submit", "demo", FLOW, "--subject", "Refund", "--body", "When will I get it?")
COMPLETION = Completion(
    text="Dear [Jane],\n\n\tsoon: **46** €.",
    model="test-model",
    stop_reason="stop",
    tokens_in=120,
    tokens_out=30,
)
SOURCE = Source(
    content="0190",
    title="Refunds",
    folder="0191",
    external_id="refunds.md",
    source=None,
    used=True,
)


@pytest.fixture(autouse=True)
def tenant(registry: Registry) -> None:
    """Create the tenant demo with a mail flow."""
    registry.create_tenant("demo", "Demo")
    registry.put_flow("demo", FLOW, FLOW_DOCUMENT)


class Worker:
    """Does the next of its steps each time that the command line waits."""

    def __init__(self, store: GenerationStore, set_clock: SetClock) -> None:
        self._store = store
        self._set_clock = set_clock
        self._claim: Claim | None = None
        self.steps: list[Callable[[], object]] = []
        self.completion = COMPLETION

    def wait(self, seconds: float) -> None:
        """Let the seconds go by and do the next step; a read that does not wait has none."""
        self._set_clock.advance(seconds=seconds)
        if seconds > 0:
            self.steps.pop(0)()

    def rest(self) -> None:
        """Do nothing."""

    def claim(self) -> None:
        """Claim the one generation that there is."""
        self._claim = self._store.claim("demo", only_id(), clock.now() + timedelta(minutes=1))
        assert self._claim is not None

    def requeue(self) -> None:
        """Hand it back, as when the model is throttled."""
        assert self._claim is not None
        assert self._store.requeue(self._claim, failed=False)

    def throttle(self) -> None:
        """Hand it back with its cause, for the next second."""
        assert self._claim is not None
        setback = Setback(SetbackReason.THROTTLED, "429")
        next_at = clock.now() + timedelta(seconds=0.5)
        assert self._store.requeue(self._claim, failed=False, setback=setback, next_at=next_at)

    def succeed(self) -> None:
        """Store the completion."""
        assert self._claim is not None
        assert services().outbox.succeed(self._claim, self.completion)

    def fail(self) -> None:
        """Store that the model refused."""
        assert self._claim is not None
        assert services().outbox.fail(self._claim, Reason.REFUSED_CONTENT, "The model refused it.")


@pytest.fixture
def worker(store: GenerationStore, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """Return a worker that works while the command line sleeps."""
    worker = Worker(store, set_clock)
    monkeypatch.setattr(time, "sleep", worker.wait)
    return worker


def only_item() -> dict[str, Any]:
    """Return the one item in the table of generations."""
    (item,) = clients().dynamodb.scan(TableName=REFERENCES["GenerationsTable"])["Items"]
    return dict(item)


def only_id() -> str:
    """Return the id of the one generation that there is."""
    return str(only_item()["id"]["S"])


def only_message(queue: str = "Queue") -> object:
    """Return the one message in a queue."""
    (message,) = clients().sqs.receive_message(QueueUrl=REFERENCES[queue], MaxNumberOfMessages=10)[
        "Messages"
    ]
    return json.loads(message["Body"])


def test_a_mail_is_submitted_as_the_api_does(
    afterword: Afterword, store: GenerationStore, set_clock: SetClock, tmp_path: Path
) -> None:
    """`submit` stores the mail with its parts, queues it and prints the id alone."""
    template = tmp_path / "template.txt"
    template.write_text("Dear [name],\n")
    result = afterword(
        *MAIL, "--metadata", '{"amount": 46.10, "date": "2026-09-11"}', "--template", template
    )
    generation_id = only_id()
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{generation_id}\n", "")
    assert only_message() == {"tenant": "demo", "id": generation_id}
    claim = store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
    assert claim is not None
    assert (claim.flow, claim.flow_version, claim.template) == (FLOW, 1, "Dear [name],\n")
    assert claim.inputs == {
        "subject": "Refund",
        "body": "When will I get it?",
        "metadata": '{"amount": 46.10, "date": "2026-09-11"}',
    }
    expires = int(only_item()["expires_at"]["N"])
    assert expires == int((set_clock.moment + timedelta(days=7)).timestamp())


def test_a_file_holds_the_whole_mail(
    afterword: Afterword, store: GenerationStore, tmp_path: Path
) -> None:
    """`submit --file` takes the API's JSON body, with the caller's own references."""
    file = tmp_path / "mail.json"
    file.write_text('{"subject": "Refund", "body": "", "external_ref": "case-457"}')
    result = afterword("submit", "demo", FLOW, "--file", file, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"id": only_id()}
    assert store.get("demo", only_id()).external == {"external_ref": '"case-457"'}


def test_a_submission_is_watched_to_its_text(afterword: Afterword, worker: Worker) -> None:
    """`submit --watch` says each status once, and prints the text, the model and what it took."""
    worker.steps = [
        worker.rest,
        worker.claim,
        worker.requeue,
        worker.claim,
        worker.rest,
        worker.succeed,
    ]
    result = afterword(*MAIL, "--watch")
    assert (result.exit_code, result.stdout) == (0, f"{COMPLETION.text}\n")
    assert result.stderr == (
        f"Submitted {only_id()}.\n"
        "   0.0 s  queued\n"
        "   1.0 s  running, attempt 1\n"
        "   1.5 s  queued, attempt 1\n"
        "   2.0 s  running, attempt 2\n"
        "   3.0 s  succeeded, attempt 2\n"
        "\ntest-model: 120 tokens in, 30 out, 3.0 seconds\n"
    )


def test_a_wait_is_told_with_its_cause(afterword: Afterword, worker: Worker) -> None:
    """`watch` says why a generation waits and until when, as JSON too."""
    worker.steps = [worker.claim, worker.throttle, worker.claim, worker.succeed]
    result = afterword(*MAIL, "--watch")
    assert result.stderr.startswith(
        f"Submitted {only_id()}.\n"
        "   0.0 s  queued\n"
        "   0.5 s  running, attempt 1\n"
        "   1.0 s  queued, attempt 1, last error throttled (429), next try at 09:00:01 UTC\n"
        "   1.5 s  running, attempt 2, last error throttled (429)\n"
        "   2.0 s  succeeded, attempt 2\n"
    )


def test_a_failure_is_told_with_its_reason(afterword: Afterword, worker: Worker) -> None:
    """`watch` ends with exit code 1 and the reason and message of the failure."""
    worker.steps = [worker.claim, worker.fail]
    generation_id = afterword(*MAIL).stdout.strip()
    result = afterword("watch", "demo", generation_id)
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        (
            "   0.0 s  queued\n"
            "   0.5 s  running, attempt 1\n"
            "   1.0 s  failed, attempt 1\n"
            "afterword: The generation failed: refused_content: The model refused it.\n"
        ),
    )
    as_json = afterword("watch", "demo", generation_id, "--json")
    failed = json.loads(as_json.stdout)
    assert as_json.exit_code == 1
    assert (failed["status"], failed["reason"], failed["message"], failed["text"]) == (
        "failed",
        "refused_content",
        "The model refused it.",
        None,
    )


def test_a_text_that_is_gone_is_told(afterword: Afterword, worker: Worker) -> None:
    """`watch` ends with exit code 1 for a result that is gone from storage."""
    worker.completion = replace(COMPLETION, text="x" * 20_000)
    worker.steps = [worker.claim, worker.succeed]
    generation_id = afterword(*MAIL, "--watch", "--json").stdout and only_id()
    (listed,) = clients().s3.list_objects_v2(Bucket=REFERENCES["Bucket"])["Contents"]
    clients().s3.delete_object(Bucket=REFERENCES["Bucket"], Key=listed["Key"])
    result = afterword("watch", "demo", generation_id)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith(f"afterword: The generation has succeeded. {GONE}\n")
    shown = json.loads(afterword("watch", "demo", generation_id, "--json").stdout)
    assert (shown["status"], shown["text"], shown["gone"]) == ("succeeded", None, True)


def test_a_watched_generation_comes_as_json(afterword: Afterword, worker: Worker) -> None:
    """With --json, standard output is the finished generation and nothing else."""
    worker.completion = replace(COMPLETION, sources=(SOURCE,))
    worker.steps = [worker.claim, worker.succeed]
    result = afterword(*MAIL, "--watch", "--json")
    expected = {
        "id": only_id(),
        "tenant": "demo",
        "flow": "mail-reply",
        "flow_version": 1,
        "retry_of": None,
        "status": "succeeded",
        "attempt": 1,
        "created_at": "2026-11-10T09:00:00+00:00",
        "deadline_at": "2026-11-10T10:00:00+00:00",
        "finished_at": "2026-11-10T09:00:01+00:00",
        "seconds": 1.0,
        "text": COMPLETION.text,
        "model": "test-model",
        "stop_reason": "stop",
        "tokens_in": 120,
        "tokens_out": 30,
        "sources": [
            {
                "content": "0190",
                "title": "Refunds",
                "folder": "0191",
                "external_id": "refunds.md",
                "source": None,
                "used": True,
            },
        ],
        "reason": None,
        "message": None,
        "last_error": None,
        "gone": False,
    }
    assert (result.exit_code, json.loads(result.stdout)) == (0, expected)
    assert json.loads(afterword("watch", "demo", only_id(), "--json").stdout) == expected


def test_what_a_text_was_made_from_is_told(afterword: Afterword, worker: Worker) -> None:
    """The documents that the model was given are listed, with whether the text draws on each."""
    worker.completion = replace(
        COMPLETION,
        sources=(
            replace(SOURCE, source="https://example.com/refunds"),
            replace(SOURCE, title="Parcels", used=False),
            replace(SOURCE, title="Shops", external_id=None, used=False),
        ),
    )
    worker.steps = [worker.claim, worker.succeed]
    result = afterword(*MAIL, "--watch")
    assert result.stdout == f"{COMPLETION.text}\n"
    assert result.stderr.splitlines()[-3:] == [
        "used: Refunds (https://example.com/refunds)",
        "not used: Parcels (refunds.md)",
        "not used: Shops (0190)",
    ]


def test_a_mail_stands_although_its_message_cannot_be_sent(afterword: Afterword) -> None:
    """When the queue is gone the id is printed all the same, and a warning with it."""
    clients().sqs.delete_queue(QueueUrl=REFERENCES["Queue"])
    result = afterword(*MAIL)
    assert (result.exit_code, result.stdout) == (0, f"{only_id()}\n")
    assert result.stderr.startswith(
        "afterword: accepted, but could not send its message: An error occurred"
    )
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("submit", "demo", FLOW),
            "afterword: subject, body: one of them must be a text that is not blank.\n",
        ),
        (("submit", "demo", "none", "--body", "x"), "afterword: There is no flow none.\n"),
        (("submit", "nobody", FLOW, "--body", "x"), "afterword: There is no tenant nobody.\n"),
        (
            (*MAIL, "--metadata", "[]"),
            "afterword: metadata: must be a JSON object.\n",
        ),
        (("watch", "nobody", "x"), "afterword: There is no tenant nobody.\n"),
        (("watch", "demo", "x"), "afterword: There is no such generation.\n"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    afterword: Afterword, stored: Callable[[], Stored], arguments: tuple[str, ...], message: str
) -> None:
    """A request that is refused is one line and exit code 1, and nothing is stored."""
    result = afterword(*arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", message)
    assert stored() == Stored(items=0, messages=0, objects=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--file", "mail.json", "--body", "x"), "has the whole mail"),
        (("--file", "none.json"), "none.json: No such file or directory"),
        (("--template", "none.txt"), "none.txt: No such file or directory"),
        (("--metadata", "{"), "is not JSON"),
        (("--metadata", '{}, "subject": "x"'), "is not JSON"),
    ],
)
def test_wrong_options_are_a_usage_error(
    afterword: Afterword,
    stored: Callable[[], Stored],
    options: tuple[str, ...],
    message: str,
) -> None:
    """Options that cannot be understood end with exit code 2, and nothing is stored."""
    result = afterword("submit", "demo", FLOW, *options)
    assert f"Invalid value for {options[0]}: {message}" in usage_error(result)
    assert stored() == Stored(items=0, messages=0, objects=0)


@pytest.mark.parametrize(
    ("seconds", "message"),
    [
        ("9", "Input should be greater than or equal to 10"),
        ("21601", "Input should be less than or equal to 21600"),
        ("1h", "Input should be a valid integer"),
    ],
)
def test_a_wrong_deadline_is_a_usage_error(
    afterword: Afterword, stored: Callable[[], Stored], seconds: str, message: str
) -> None:
    """A deadline that no generation may have is told with its bound, and nothing is stored."""
    result = afterword(*MAIL, "--deadline", seconds)
    assert f"Invalid value for '--deadline': {message}" in usage_error(result)
    assert stored() == Stored(items=0, messages=0, objects=0)


@pytest.mark.parametrize("seconds", [10, 90, int(MAX_DEADLINE.total_seconds())])
def test_a_submission_has_the_deadline_asked_for(
    afterword: Afterword, store: GenerationStore, set_clock: SetClock, seconds: int
) -> None:
    """`submit --deadline` says in how many seconds the text is of use at most."""
    assert afterword(*MAIL, "--deadline", seconds).exit_code == 0
    deadline_at = store.get("demo", only_id()).deadline_at
    assert deadline_at == set_clock.moment + timedelta(seconds=seconds)


def test_a_submission_has_the_deadline_of_its_flow(
    afterword: Afterword, registry: Registry, store: GenerationStore, set_clock: SetClock
) -> None:
    """Without --deadline, what the flow says holds."""
    document = json.dumps({**json.loads(FLOW_DOCUMENT), "deadline_seconds": 45})
    registry.put_flow("demo", FLOW, document)
    assert afterword(*MAIL).exit_code == 0
    assert store.get("demo", only_id()).deadline_at == set_clock.moment + timedelta(seconds=45)


def test_the_owner_is_held_to_the_limits_of_the_tenant(
    afterword: Afterword, registry: Registry, set_clock: SetClock
) -> None:
    """`submit` counts against the tenant's limits, and says when to try again if they are full."""
    registry.set_limits("demo", Limits(running_at_once=1))
    assert afterword(*MAIL).exit_code == 0
    full = afterword(*MAIL)
    assert (full.exit_code, full.stdout, full.stderr) == (
        1,
        "",
        "afterword: The limit is 1 open at once, and so many are. Try again in 5 s.\n",
    )
    set_clock.advance(seconds=90)
    assert afterword("cancel", "demo", only_id()).exit_code == 0
    assert afterword(*MAIL).exit_code == 0


def test_a_month_that_is_used_up_is_told_with_the_time_when_it_ends(
    afterword: Afterword, registry: Registry, worker: Worker
) -> None:
    """When it takes long until a limit lets in again, the time is told instead of the seconds."""
    registry.set_limits("demo", Limits(tokens_per_month=150))
    worker.steps = [worker.claim, worker.succeed]
    assert afterword(*MAIL, "--watch").exit_code == 0
    full = afterword(*MAIL)
    assert (full.exit_code, full.stderr) == (
        1,
        (
            "afterword: The 150 tokens of this month are used up."
            " Try again after 2026-12-01 00:00 UTC.\n"
        ),
    )


def test_a_text_cannot_drive_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal a text comes without control characters, elsewhere to the letter."""
    text = "a\x1b[31mb\r\nc\td\x9b"
    terminal.result(text)
    assert capsys.readouterr().out == f"{text}\n"
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    terminal.result(text)
    assert capsys.readouterr().out == "a\ufffd[31mb\nc\td\ufffd\n"


def test_a_table_is_never_cut_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a narrow terminal too, a table's ids can be copied whole."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    terminal.result_table(("ID", "NAME"), [("0" * 36, "a name of many words")])
    assert f"{'0' * 36}  a name of many words\n" in capsys.readouterr().out


def test_an_open_generation_can_be_canceled(afterword: Afterword, worker: Worker) -> None:
    """`cancel` ends a generation, and `watch` says that it was canceled."""
    generation_id = afterword(*MAIL).stdout.strip()
    canceled = afterword("cancel", "demo", generation_id)
    assert (canceled.exit_code, canceled.stderr) == (0, f"Canceled {generation_id}.\n")
    watched = afterword("watch", "demo", generation_id)
    assert (watched.exit_code, watched.stderr) == (
        1,
        "   0.0 s  canceled\nafterword: The generation was canceled.\n",
    )
    assert worker.steps == []


def test_who_listens_hears_of_what_is_canceled(
    afterword: Afterword, cloudformation: CloudFormation
) -> None:
    """With an event bus, `submit` and `cancel` do what makes the end known."""
    cloudformation.parameters["EventBusName"] = "default"
    generation_id = afterword(*MAIL).stdout.strip()
    assert afterword("cancel", "demo", generation_id).exit_code == 0
    assert only_message("NotifyQueue") == {"tenant": "demo", "id": generation_id}


def test_without_an_event_bus_no_message_is_sent(afterword: Afterword) -> None:
    """Without an event bus no message is sent."""
    generation_id = afterword(*MAIL).stdout.strip()
    assert afterword("cancel", "demo", generation_id).exit_code == 0
    received = clients().sqs.receive_message(QueueUrl=REFERENCES["NotifyQueue"])
    assert "Messages" not in received


def test_a_cancel_stands_although_its_message_cannot_be_sent(
    afterword: Afterword, cloudformation: CloudFormation
) -> None:
    """Without the queue of end messages the cancel stands, and a warning says the rest."""
    cloudformation.parameters["EventBusName"] = "default"
    generation_id = afterword(*MAIL).stdout.strip()
    clients().sqs.delete_queue(QueueUrl=REFERENCES["NotifyQueue"])
    result = afterword("cancel", "demo", generation_id)
    assert (result.exit_code, result.stdout) == (0, "")
    warning, canceled = result.stderr.splitlines()
    assert warning.startswith("afterword: could not dispatch: An error occurred")
    assert canceled == f"Canceled {generation_id}."


def test_canceling_twice_is_no_error(afterword: Afterword) -> None:
    """`cancel` of what is canceled already says that it is."""
    generation_id = afterword(*MAIL).stdout.strip()
    for _ in range(2):
        result = afterword("cancel", "demo", generation_id)
        assert (result.exit_code, result.stderr) == (0, f"Canceled {generation_id}.\n")


def test_watching_ends_with_the_timeout(
    afterword: Afterword, store: GenerationStore, worker: Worker
) -> None:
    """`watch --timeout` stops with exit code 1 and says so; the generation goes on."""
    generation_id = afterword(*MAIL).stdout.strip()
    worker.steps = [worker.claim, worker.rest]
    result = afterword("watch", "demo", generation_id, "--timeout", 1, "--json")
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        (
            "   0.0 s  queued\n"
            "   0.5 s  running, attempt 1\n"
            f"afterword: Generation {generation_id} is still running after 1 s of watching;"
            " it goes on.\n"
        ),
    )
    assert worker.steps == []
    assert store.get("demo", generation_id).status == "running"


def test_what_ends_in_time_is_printed(afterword: Afterword, worker: Worker) -> None:
    """`watch --timeout` prints the text of what ends before, or just then."""
    generation_id = afterword(*MAIL).stdout.strip()
    worker.steps = [worker.claim, worker.succeed]
    result = afterword("watch", "demo", generation_id, "--timeout", 1)
    assert (result.exit_code, result.stdout) == (0, f"{COMPLETION.text}\n")
    at_once = afterword("watch", "demo", generation_id, "--timeout", 0)
    assert (at_once.exit_code, at_once.stdout) == (0, f"{COMPLETION.text}\n")


def test_a_timeout_is_a_number_of_seconds(afterword: Afterword) -> None:
    """A timeout that is none is a usage error."""
    result = afterword("watch", "demo", "x", "--timeout", -1)
    message = "Invalid value for '--timeout': Input should be greater than or equal to 0"
    assert message in usage_error(result)


def test_a_finished_generation_cannot_be_canceled(afterword: Afterword, worker: Worker) -> None:
    """`cancel` of what has succeeded says so and changes nothing."""
    worker.steps = [worker.claim, worker.succeed]
    afterword(*MAIL, "--watch")
    result = afterword("cancel", "demo", only_id())
    assert (result.exit_code, result.stderr) == (
        1,
        f"afterword: Generation {only_id()} cannot be canceled: it has succeeded.\n",
    )


def test_what_is_not_there_cannot_be_canceled(afterword: Afterword) -> None:
    """`cancel` of an id that the tenant does not have is one line and exit code 1."""
    result = afterword("cancel", "demo", "019a6f3e-7c00-7000-8000-000000000009")
    assert (result.exit_code, result.stderr) == (1, "afterword: There is no such generation.\n")
