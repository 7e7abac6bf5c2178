"""Data that leave the process to their owner alone: anybody's texts, anybody's key.

Out go log lines and all else that is printed (metrics in EMF would be). Out go messages of SQS,
events of EventBridge, the exceptions that reach Lambda, and the answers to others.
"""

import base64
import io
import json
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError

from afterword.errors import AfterwordError
from afterword.generations import Reason
from afterword.limits import Limits
from afterword.models import (
    LENGTH,
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
)
from afterword.models.bedrock import BedrockModel
from afterword.runtime.clients import clients
from afterword.runtime.payloads import INLINE_BYTES
from afterword.services import services
from afterword.tenants import keys
from afterword.tenants.keys import Scope
from tests.conftest import Call, Event, LambdaContext, SetClock, Tenant
from tests.harness.api import invoke
from tests.harness.fake_model import FakeModel, completion, raising, saying

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

    from tests.endpoints.conftest import Result

SECRETS = {
    "subject": "Xylophone claim",
    "body": "my Yttrium account",
    "metadata": {"Zirconium": "Quokka"},
    "template": "Dear [Wombat name], Platypus.",
    "external_ref": "Narwhal-457",
    "external_metadata": {"Axolotl": "Capybara"},
}
"""A mail in which each word of WORDS stands once."""
OUTPUT = '{"wombat_name": "Pangolin"}'
IDEMPOTENCY_KEY = "Kookaburra-7"
MODEL_KEY = "sk-Dugong"
WORDS = (
    "Xylophone", "Yttrium", "Zirconium", "Quokka", "Wombat", "Narwhal", "Axolotl",
    "Capybara", "Pangolin", "Kookaburra", "Dugong",
)  # fmt: skip
LEAVES = frozenset({"sqs.SendMessage", "eventbridge.PutEvents"})
"""The calls of AWS whose parameters others read."""


def words_in(text: str | None) -> list[str]:
    """Return the secret words in a text."""
    return [word for word in WORDS if word.lower() in (text or "").lower()]


@dataclass
class Watch:
    """Sees all that leaves the process, and finds WORDS and the tenant's key in it."""

    secret: str
    log: io.StringIO
    capfd: pytest.CaptureFixture[str]
    calls: list[Call]
    others: list[str] = field(default_factory=list)
    printed: str = ""

    def attempt(self, run: Callable[[], object]) -> None:
        """Run an action that may raise; an exception is seen as Lambda shows it."""
        try:
            run()
        except Exception as error:  # noqa: BLE001 - whatever it is, Lambda logs it
            self.others += traceback.format_exception(error)

    def tell_another(self, result: "Result") -> None:
        """Note an answer to somebody who must not learn of it."""
        self.others.append(json.dumps(result))

    def seen(self) -> str:
        """Return all that has left."""
        captured = self.capfd.readouterr()
        self.printed += captured.out + captured.err
        sent = [str(call.params) for call in self.calls if call.operation in LEAVES]
        return "\n".join([self.log.getvalue(), self.printed, *sent, *self.others])

    def leaked(self) -> list[str]:
        """Return the words that have left."""
        seen = self.seen().lower()
        assert seen.strip(), "nothing was written at all"
        return [word for word in (*WORDS, self.secret) if word.lower() in seen]


@pytest.fixture
def watch(
    tenant: Tenant, log: io.StringIO, capfd: pytest.CaptureFixture[str], calls: list[Call]
) -> Watch:
    """Return the watch."""
    credential = keys.parse_key(tenant.key)
    assert credential is not None
    return Watch(credential.secret, log, capfd, calls)


@pytest.fixture
def leaked(watch: Watch) -> Callable[[], list[str]]:
    """Return a function that gives the secret words that have left."""
    return watch.leaked


def test_the_watch_sees_a_leak(watch: Watch, log: io.StringIO) -> None:
    """A word of the mail is found, wherever it leaves."""
    assert "Pangolin" not in watch.seen()
    print('{"_aws": {}, "pangolin": 1}')  # noqa: T201 - where Lambda takes metrics (EMF) from
    log.write('{"message": "Dear Wombat"}\n')
    services().queue.send("demo", "Quokka")
    clients().events.put_events(
        Entries=[{"Source": "x", "DetailType": "x", "Detail": '{"a": "Axolotl"}'}]
    )
    watch.attempt(lambda: int("Narwhal"))
    watch.tell_another({"body": "Capybara"})
    assert watch.leaked() == [
        "Quokka", "Wombat", "Narwhal", "Axolotl", "Capybara", "Pangolin",
    ]  # fmt: skip


def test_a_mail_leaves_no_word_in_the_log(
    submission_event: Event,
    reading_event: Callable[[str], Event],
    context: LambdaContext,
    leaked: Callable[[], list[str]],
) -> None:
    """Accepting a mail and reading it logs none of its words, and not the key."""
    submission_event["body"] = json.dumps(SECRETS)
    cuid = json.loads(invoke("submit_mail_generation", submission_event, context)["body"])[
        "process_cuid"
    ]
    assert "Narwhal" in invoke("get_mail_generation", reading_event(cuid), context)["body"]
    assert leaked() == []


@pytest.mark.parametrize(
    "change",
    [
        {"subject": ["Xylophone"]},
        {"metadata": "Quokka"},
        {"external_metadata": ["Axolotl"]},
        {"template": {"Wombat": "Platypus"}},
        {"external_ref": {"Narwhal": 1}},
        {"subject": "Xylophone \ud800"},
        {"metadata": {"Quokka \ud800": 1}},
        {"external_metadata": {"Axolotl": float("nan")}},
        {"body": "Yttrium" * 1_000_000},
        {"external_ref": "Narwhal" * 200_000},
        {"template": "".join(f"[Wombat {number}]" for number in range(101))},
    ],
    ids=range(11),
)
def test_a_refused_mail_leaves_no_word_in_the_log(
    submission_event: Event,
    context: LambdaContext,
    leaked: Callable[[], list[str]],
    change: Mapping[str, object],
) -> None:
    """A refusal is logged with its reason, and without what was refused."""
    submission_event["body"] = json.dumps({**SECRETS, **change})
    result = invoke("submit_mail_generation", submission_event, context)
    assert result["statusCode"] in {400, 413}
    assert leaked() == []
    assert words_in(result["body"]) == []


@pytest.mark.parametrize("encoded", [False, True])
def test_half_a_mail_leaves_no_word_in_the_log(
    submission_event: Event,
    context: LambdaContext,
    leaked: Callable[[], list[str]],
    *,
    encoded: bool,
) -> None:
    """A body that is cut off anywhere is refused without a word of it."""
    body = json.dumps(SECRETS)
    submission_event["isBase64Encoded"] = encoded
    for end in range(0, len(body), 7):
        part = body[:end].encode()
        submission_event["body"] = (
            base64.b64encode(part + b"\xff").decode() if encoded else part.decode()
        )
        assert invoke("submit_mail_generation", submission_event, context)["statusCode"] == 400
    assert leaked() == []


@pytest.mark.parametrize(
    "operation",
    [
        "dynamodb.PutItem",
        "dynamodb.GetItem",
        "dynamodb.UpdateItem",
        "sqs.SendMessage",
        "s3.PutObject",
        "s3.GetObject",
    ],
)
def test_an_outage_leaves_no_word_in_the_log(  # noqa: PLR0913, PLR0917 - all that calls AWS
    submission_event: Event,
    reading_event: Callable[[str], Event],
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    cut_off: Callable[[str], None],
    watch: Watch,
    operation: str,
) -> None:
    """When AWS is out of reach, the error is logged by its finder, and the mail is not."""
    use_model(FakeModel(lambda _: completion(json.dumps({"wombat_name": "Pangolin" * 9_000}))))
    big = {**SECRETS, "body": "Yttrium" * INLINE_BYTES, "external_ref": "Narwhal" * INLINE_BYTES}
    submission_event["body"] = json.dumps(big)
    submission_event["headers"]["idempotency-key"] = IDEMPOTENCY_KEY
    services().registry.set_limits("demo", Limits(running_at_once=2))
    cuid = json.loads(invoke("submit_mail_generation", submission_event)["body"])["process_cuid"]
    del submission_event["headers"]["idempotency-key"]
    cut_off(operation)
    watch.attempt(lambda: invoke("submit_mail_generation", submission_event))
    watch.attempt(lambda: invoke("get_mail_generation", reading_event(cuid)))
    for _ in range(2):
        watch.attempt(lambda: invoke("generate", message_event(cuid)))
        use_model(raising(ModelUnavailableError("Busy.")))
    watch.attempt(lambda: services().outbox.cancel("demo", cuid))
    watch.attempt(lambda: services().submitter.retry("demo", cuid))
    watch.attempt(lambda: invoke("dead_letter", message_event(cuid)))
    watch.attempt(lambda: invoke("deliver", message_event(cuid)))
    assert watch.leaked() == []


def test_a_wrong_key_is_not_logged(
    tenant: Tenant,
    submission_event: Event,
    context: LambdaContext,
    leaked: Callable[[], list[str]],
) -> None:
    """A mistyped key is as secret as the right one."""
    for key in (tenant.key[:-1], tenant.key + "0", f"x{tenant.key}", tenant.key_with(Scope.READ)):
        submission_event["headers"]["authorization"] = f"Bearer {key}"
        assert invoke("submit_mail_generation", submission_event, context)["statusCode"] in {
            401,
            403,
        }
    assert leaked() == []


@pytest.mark.parametrize(
    "model",
    [
        saying(OUTPUT),
        saying("Pangolin"),
        saying('{"wombat_name": ""}'),
        saying('{"wombat_name": "Pango', LENGTH),
        saying('{"wombat_name": "Pangolin \\ud800"}'),
        raising(ModelUnavailableError("Busy.")),
        raising(ModelTimedOutError("Slow.")),
        raising(ModelRefusedError(Reason.REFUSED_CONTENT, "No.")),
        raising(RuntimeError("a bug")),
    ],
    ids=range(9),
)
def test_a_generation_leaves_no_word_in_the_log(
    submission_event: Event,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    leaked: Callable[[], list[str]],
    model: FakeModel,
) -> None:
    """A generation leaves neither its prompt nor its output in the log, however it ends."""
    use_model(model)
    submission_event["body"] = json.dumps(SECRETS)
    result = invoke("submit_mail_generation", submission_event)
    invoke("generate", message_event(json.loads(result["body"])["process_cuid"]))
    assert "Wombat" in repr(model.prompts)
    assert leaked() == []


# --- refusals, and the key of a request ----------------------------------------------------------


def test_a_used_idempotency_key_is_not_logged(
    submission_event: Event, their_submission_event: Event, watch: Watch
) -> None:
    """The key is the client's own: neither its refusal nor another tenant's use of it shows it."""
    submission_event["body"] = json.dumps(SECRETS)
    for event in (submission_event, their_submission_event):
        event["headers"]["idempotency-key"] = IDEMPOTENCY_KEY
    assert invoke("submit_mail_generation", submission_event)["statusCode"] == 200
    watch.tell_another(invoke("submit_mail_generation", their_submission_event))
    submission_event["body"] = json.dumps({**SECRETS, "subject": "Another"})
    refused = invoke("submit_mail_generation", submission_event)
    assert refused["statusCode"] == 422
    watch.tell_another(refused)
    assert watch.leaked() == []


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("idempotency-key", f"{IDEMPOTENCY_KEY} {IDEMPOTENCY_KEY}"),
        ("idempotency-key", IDEMPOTENCY_KEY * 100),
        ("afterword-deadline", IDEMPOTENCY_KEY),
        ("authorization", f"Basic {IDEMPOTENCY_KEY}"),
        ("authorization", f"Bearer {IDEMPOTENCY_KEY}"),
        ("x-api-key", IDEMPOTENCY_KEY),
        ("cookie", IDEMPOTENCY_KEY),
    ],
)
def test_a_header_is_not_logged(
    submission_event: Event, watch: Watch, header: str, value: str
) -> None:
    """A header's fault is told without the header."""
    if header == "x-api-key":
        del submission_event["headers"]["authorization"]
    submission_event["headers"][header] = value
    submission_event["body"] = json.dumps(SECRETS)
    watch.tell_another(invoke("submit_mail_generation", submission_event))
    assert watch.leaked() == []


def test_a_path_or_query_that_is_no_id_is_not_logged(
    submission_event: Event, reading_event: Callable[[str], Event], watch: Watch
) -> None:
    """A path or a query that is no id, such as a name, is in no line and answer."""
    submission_event["body"] = json.dumps(SECRETS)
    submission_event["pathParameters"]["orchestratorCuid"] = "Quokka's mails"
    submission_event["queryStringParameters"] = {"token": "Capybara", "Axolotl": "1"}
    reading = reading_event("Platypus")
    foreign = reading_event("Platypus")
    foreign["pathParameters"]["companyCuid"] = "Wombat Ltd"
    for result in (
        invoke("submit_mail_generation", submission_event),
        invoke("get_mail_generation", reading),
        invoke("get_mail_generation", foreign),
    ):
        assert result["statusCode"] == 404
        watch.tell_another(result)
    assert watch.leaked() == []


@pytest.mark.parametrize(
    "limits", [Limits(running_at_once=1), Limits(requests_per_minute=1), Limits(tokens_per_month=1)]
)
def test_a_limited_mail_leaves_no_word_in_the_log(
    submission_event: Event,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    watch: Watch,
    limits: Limits,
) -> None:
    """A refusal for the sake of limits says which limit, and nothing of the mail."""
    use_model(saying(OUTPUT))
    services().registry.set_limits("demo", limits)
    submission_event["body"] = json.dumps(SECRETS)
    accepted = invoke("submit_mail_generation", submission_event)
    if limits.tokens_per_month:
        invoke("generate", message_event(json.loads(accepted["body"])["process_cuid"]))
    submission_event["headers"]["idempotency-key"] = IDEMPOTENCY_KEY
    refused = invoke("submit_mail_generation", submission_event)
    assert refused["statusCode"] == 429
    watch.tell_another(refused)
    assert watch.leaked() == []


# --- a whole life, with everybody who is told of it ----------------------------------------------


@dataclass
class Life:
    """A generation that is made known, with its tenant and its functions."""

    load_event: Callable[[str], Event]
    use_model: Callable[[FakeModel], None]
    clock: SetClock
    submission: Event
    id: str = ""

    def submit(self) -> None:
        """Submit the secrets."""
        self.id = json.loads(invoke("submit_mail_generation", self.submission)["body"])[
            "process_cuid"
        ]

    def event(self, name: str) -> Event:
        """Return a sample event of a queue, for this generation."""
        event = self.load_event(name)
        event["Records"][0]["body"] = json.dumps({"tenant": "demo", "id": self.id})
        return event

    def work(self, model: FakeModel) -> None:
        """Run a worker with the model."""
        self.use_model(model)
        invoke("generate", self.event("generate"))

    def bury(self) -> None:
        """Let its message be a dead letter."""
        invoke("dead_letter", self.event("dead_letter"))

    def cancel(self) -> None:
        """Cancel it."""
        services().outbox.cancel("demo", self.id)

    def retry(self) -> None:
        """Submit it again, and go on with the new one."""
        self.id = services().submitter.retry("demo", self.id).id

    def sweep(self, **after: float) -> None:
        """Run the sweeper after some time."""
        self.clock.advance(**after)
        invoke("sweep", self.load_event("sweep"))

    def deliver(self) -> None:
        """Make its end known."""
        invoke("deliver", self.event("deliver"))


@pytest.fixture
def life(
    submission_event: Event,
    load_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    set_clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Life:
    """Return a generation of the secrets, submitted with a key and counted against limits."""
    monkeypatch.setenv("AFTERWORD_EVENT_BUS", "default")
    services().registry.set_limits("demo", Limits(running_at_once=5))
    submission_event["body"] = json.dumps(SECRETS)
    submission_event["headers"]["idempotency-key"] = IDEMPOTENCY_KEY
    life = Life(load_event, use_model, set_clock, submission_event)
    life.submit()
    return life


def _succeeds(life: Life) -> None:
    life.work(saying(OUTPUT))


def _is_throttled_and_swept(life: Life) -> None:
    life.work(raising(ModelUnavailableError("Busy.")))
    life.sweep(minutes=3)
    life.work(saying(OUTPUT))


def _is_lost_and_swept(life: Life) -> None:
    life.work(raising(RuntimeError("a bug")))
    life.sweep(minutes=10)
    life.work(saying("Pangolin"))


def _is_past_its_deadline(life: Life) -> None:
    life.sweep(hours=2)


def _is_dispatched_by_the_sweeper(life: Life) -> None:
    life.work(saying(OUTPUT))
    life.sweep(minutes=3)


def _is_a_dead_letter(life: Life) -> None:
    life.bury()
    letters = list(services().listings.list_dead_letters("demo"))
    assert [letter.id for letter in letters] == [life.id]
    print(letters)  # noqa: T201 - `afterword dead-letters` may show this to an operator


def _is_retried(life: Life) -> None:
    life.bury()
    life.retry()
    life.work(saying(OUTPUT))


def _is_canceled(life: Life) -> None:
    life.cancel()
    life.work(saying(OUTPUT))


@pytest.mark.parametrize(
    "lives",
    [
        _succeeds,
        _is_throttled_and_swept,
        _is_lost_and_swept,
        _is_past_its_deadline,
        _is_dispatched_by_the_sweeper,
        _is_a_dead_letter,
        _is_retried,
        _is_canceled,
    ],
    ids=lambda lives: lives.__name__.strip("_"),
)
def test_a_whole_life_tells_nobody_a_word(  # noqa: PLR0913, PLR0917 - with all who may hear
    life: Life,
    watch: Watch,
    calls: list[Call],
    their_submission_event: Event,
    other_tenant: Tenant,
    lives: Callable[[Life], None],
) -> None:
    """Messages, events, lines and the answers to others name a generation, and say none of it."""
    lives(life)
    life.deliver()
    published = [call for call in calls if call.operation == "eventbridge.PutEvents"]
    assert life.id in str(published)
    assert life.id in watch.seen()
    spying = life.load_event("get_mail_generation")
    spying["headers"]["authorization"] = f"Bearer {other_tenant.key}"
    for company in (other_tenant.id, "demo"):
        spying["pathParameters"].update(companyCuid=company, processCuid=life.id)
        watch.tell_another(invoke("get_mail_generation", spying))
    their_submission_event["headers"]["idempotency-key"] = IDEMPOTENCY_KEY
    watch.tell_another(invoke("submit_mail_generation", their_submission_event))
    for spy in (services().outbox.cancel, services().submitter.retry):
        with pytest.raises(AfterwordError) as refused:
            spy(other_tenant.id, life.id)
        watch.others.append(str(refused.value))
    assert watch.leaked() == []


# --- providers that repeat what they were sent ---------------------------------------------------


class Echo(BaseHTTPRequestHandler):
    """Refuses every request, and repeats all of it, the key too, wherever a text fits."""

    status = 500

    def do_POST(self) -> None:
        """Answer with an error of OpenAI's shape."""
        sent = self.rfile.read(int(self.headers["content-length"])).decode()
        repeated = f"{self.headers['authorization']} {sent}"
        error = {"message": repeated, "param": repeated, "code": repeated, "type": repeated}
        body = json.dumps({"error": error, "detail": repeated}).encode()
        self.send_response(self.status, "Dugong")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repeated", repeated.encode("ascii", "replace").decode())
        self.send_header("Retry-After", MODEL_KEY)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch, aws: None) -> Iterator[type[Echo]]:  # noqa: ARG001 - its effect
    """Return the answers of the deployment's model endpoint, which takes a key."""

    class Answers(Echo):
        pass

    secret = clients().secrets_manager.create_secret(Name="model", SecretString=MODEL_KEY)
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("AFTERWORD_MODEL_URL", f"http://127.0.0.1:{server.server_port}/v1")
        monkeypatch.setenv("AFTERWORD_MODEL_API_KEY_SECRET_ARN", secret["ARN"])
        yield Answers
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 408, 413, 422, 429, 500, 503])
def test_an_endpoint_that_repeats_its_request_is_not_repeated(  # noqa: PLR0913, PLR0917 - a life
    echo: type[Echo],
    submission_event: Event,
    message_event: Callable[[str], Event],
    reading_event: Callable[[str], Event],
    watch: Watch,
    status: int,
) -> None:
    """A model endpoint's error message is in no log line, and its key in no answer."""
    echo.status = status
    submission_event["body"] = json.dumps(SECRETS)
    cuid = json.loads(invoke("submit_mail_generation", submission_event)["body"])["process_cuid"]
    invoke("generate", message_event(cuid))
    assert "Dugong" not in invoke("get_mail_generation", reading_event(cuid))["body"]
    assert words_in(services().store.get("demo", cuid).message) == []
    assert watch.leaked() == []


@pytest.mark.parametrize("queue", ["in reach", "out of reach"])
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 429),
        ("ValidationException", 400),
        ("AccessDeniedException", 403),
        ("ModelErrorException", 424),
        ("ModelTimeoutException", 408),
        ("InternalServerException", 500),
        ("SomethingNewException", 400),
    ],
)
def test_bedrock_repeating_its_request_is_not_repeated(  # noqa: PLR0913, PLR0917 - both ends of it
    submission_event: Event,
    message_event: Callable[[str], Event],
    use_model: Callable[[Any], None],
    cut_off: Callable[[str], None],
    watch: Watch,
    code: str,
    status: int,
    queue: str,
) -> None:
    """Bedrock's error message is in no log line and not in the generation's message.

    Nor when the next thing fails too, and the worker logs both.
    """
    asked: list[Mapping[str, Any]] = []

    class Repeating:
        meta = SimpleNamespace(region_name="eu-west-1")

        def converse(self, **request: object) -> None:
            asked.append(request)
            raise ClientError(
                {
                    "Error": {"Code": code, "Message": f"Not valid: {request}"},
                    "ResponseMetadata": {
                        "HTTPStatusCode": status,
                        "HTTPHeaders": {"x-repeated": str(request)},
                        "RequestId": "1",
                        "HostId": "1",
                        "RetryAttempts": 0,
                    },
                },
                "Converse",
            )

    use_model(BedrockModel(lambda _: cast("BedrockRuntimeClient", Repeating())))
    submission_event["body"] = json.dumps(SECRETS)
    cuid = json.loads(invoke("submit_mail_generation", submission_event)["body"])["process_cuid"]
    if queue == "out of reach":
        cut_off("sqs.SendMessage")
    invoke("generate", message_event(cuid))
    assert "Wombat" in str(asked)
    assert words_in(services().store.get("demo", cuid).message) == []
    assert watch.leaked() == []
