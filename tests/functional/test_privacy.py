"""What is never logged: anybody's data, anybody's key."""

import base64
import io
import json
from collections.abc import Callable, Mapping

import pytest

from afterword import keys
from afterword.generations import Reason
from afterword.keys import Scope
from afterword.models import (
    LENGTH,
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
)
from functions.generate.app import handler as generate
from functions.get_mail_generation.app import handler as read
from functions.submit_mail_generation.app import handler as submit
from tests.conftest import Event, LambdaContext, Tenant
from tests.fake_model import FakeModel, raising, saying

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
WORDS = (
    "Xylophone", "Yttrium", "Zirconium", "Quokka", "Wombat", "Platypus", "Narwhal", "Axolotl",
    "Capybara", "Pangolin",
)  # fmt: skip


@pytest.fixture
def leaked(
    tenant: Tenant, log: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> Callable[[], list[str]]:
    """Return a function that gives the secret words that were written since the last time."""
    credential = keys.parse(tenant.key)
    assert credential is not None

    def look() -> list[str]:
        captured = capfd.readouterr()
        written = (log.getvalue() + captured.out + captured.err).lower()
        assert written, "nothing was logged at all"
        return [word for word in (*WORDS, credential.secret) if word.lower() in written]

    return look


def test_the_watch_sees_a_leak(leaked: Callable[[], list[str]], log: io.StringIO) -> None:
    """A word of the mail in a line is found, wherever it stands."""
    print("pangolin")  # noqa: T201 - on standard output, where Lambda takes its log from
    log.write('{"message": "Dear Wombat"}\n')
    assert leaked() == ["Wombat", "Pangolin"]


def test_a_mail_leaves_no_word_in_the_log(
    submission_event: Event,
    reading_event: Callable[[str], Event],
    context: LambdaContext,
    leaked: Callable[[], list[str]],
) -> None:
    """Accepting a mail and reading it logs none of its words, and not the key."""
    submission_event["body"] = json.dumps(SECRETS)
    cuid = json.loads(submit(submission_event, context)["body"])["process_cuid"]
    assert "Narwhal" in read(reading_event(cuid), context)["body"]
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
    result = submit(submission_event, context)
    assert result["statusCode"] in {400, 413}
    assert leaked() == []
    assert [word for word in WORDS if word in result["body"]] == []


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
        assert submit(submission_event, context)["statusCode"] == 400
    assert leaked() == []


@pytest.mark.parametrize("operation", ["dynamodb.PutItem", "sqs.SendMessage", "dynamodb.GetItem"])
def test_an_outage_leaves_no_word_in_the_log(
    submission_event: Event,
    context: LambdaContext,
    cut_off: Callable[[str], None],
    leaked: Callable[[], list[str]],
    operation: str,
) -> None:
    """When AWS is out of reach, the error is logged and the mail is not."""
    cut_off(operation)
    submission_event["body"] = json.dumps(SECRETS)
    submit(submission_event, context)
    assert leaked() == []


def test_a_wrong_key_is_not_logged(
    tenant: Tenant,
    submission_event: Event,
    context: LambdaContext,
    leaked: Callable[[], list[str]],
) -> None:
    """A mistyped key is as secret as the right one."""
    for key in (tenant.key[:-1], tenant.key + "0", f"x{tenant.key}", tenant.key_with(Scope.READ)):
        submission_event["headers"]["authorization"] = f"Bearer {key}"
        assert submit(submission_event, context)["statusCode"] in {401, 403}
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
    """Whatever comes of a generation, neither its prompt nor its output is logged."""
    use_model(model)
    submission_event["body"] = json.dumps(SECRETS)
    result = submit(submission_event, LambdaContext())
    generate(message_event(json.loads(result["body"])["process_cuid"]), LambdaContext())
    assert "Wombat" in repr(model.prompts)
    assert leaked() == []
