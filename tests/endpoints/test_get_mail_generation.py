"""Reading a mail's reply through Dialonce's API: the handler with its event, under moto."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from afterword.generations import Reason
from afterword.generations.claims import Claim
from afterword.runtime.clients import clients
from afterword.services import services
from tests.conftest import Event, LambdaContext, SetClock
from tests.endpoints.conftest import HEADERS, NO_SUCH_GENERATION, TRY_AGAIN
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import completion

type Read = Callable[[], dict[str, Any]]

EXTERNAL = '"external_ref": "case-457", "external_metadata": {"user_id": "abc-789"}'


@pytest.fixture
def process_cuid(submission_event: Event, context: LambdaContext, set_clock: SetClock) -> str:  # noqa: ARG001 - its clock
    """Submit the sample mail and return its process id."""
    cuid: str = json.loads(invoke("submit_mail_generation", submission_event, context)["body"])[
        "process_cuid"
    ]
    return cuid


@pytest.fixture
def read(process_cuid: str, reading_event: Callable[[str], Event], context: LambdaContext) -> Read:
    """Return a function that reads the generation through the handler."""
    return lambda: invoke("get_mail_generation", reading_event(process_cuid), context)


def claim(process_cuid: str) -> Claim:
    """Claim the generation as a worker does."""
    store = services().store
    generation = store.get("demo", process_cuid)
    claimed = store.claim("demo", process_cuid, generation.created_at + timedelta(seconds=70))
    assert claimed is not None
    return claimed


def shown(status: str, response: str, external: str = EXTERNAL) -> dict[str, Any]:
    """Return the whole result for a generation; `response` is a JSON text."""
    return {
        "statusCode": 200,
        "headers": HEADERS,
        "body": f'{{"status": "{status}", "response": {response}, {external}}}',
    }


def test_a_queued_generation_has_started(read: Read) -> None:
    """A generation that waits for a worker is `started` and has no response."""
    assert read() == shown("started", "null")


def test_a_running_generation_has_started(process_cuid: str, read: Read) -> None:
    """A generation that a worker has is `started` and has no response."""
    claim(process_cuid)
    assert read() == shown("started", "null")


def test_a_requeued_generation_has_started(process_cuid: str, read: Read) -> None:
    """A generation that was throttled is `started` and has no response."""
    services().store.requeue(claim(process_cuid), failed=False)
    assert read() == shown("started", "null")


def test_a_finished_generation_is_completed(process_cuid: str, read: Read) -> None:
    """A generation that succeeded is `completed` and has its text."""
    text = 'Bonjour Jean Dupont,\n"Merci" — 😀'
    services().store.succeed(claim(process_cuid), completion(text))
    assert read() == shown("completed", json.dumps(text, ensure_ascii=False))
    assert json.loads(read()["body"])["response"] == text


def test_a_failed_generation_has_failed(process_cuid: str, read: Read) -> None:
    """A generation that failed is `failed` and has no response."""
    services().store.fail(claim(process_cuid), Reason.REFUSED_CONTENT, "The model refused it.")
    assert read() == shown("failed", "null")


def test_a_canceled_generation_has_failed(process_cuid: str, read: Read) -> None:
    """A generation that was canceled is `failed` and has no response."""
    services().store.cancel("demo", process_cuid)
    assert read() == shown("failed", "null")


def test_a_big_result_comes_from_the_bucket(process_cuid: str, read: Read) -> None:
    """A text that is too big for an item is read back whole."""
    text = "Bonjour é 😀 " * 5_000
    services().store.succeed(claim(process_cuid), completion(text))
    (found,) = clients().s3.list_objects_v2(Bucket=REFERENCES["Bucket"])["Contents"]
    assert found["Key"].startswith(f"demo/{process_cuid}/text-1-")
    assert read() == shown("completed", json.dumps(text, ensure_ascii=False))


def test_without_the_bucket_a_big_result_comes_later(
    process_cuid: str, read: Read, cut_off: Callable[[str], None]
) -> None:
    """When S3 is out of reach, a big result is asked for again."""
    services().store.succeed(claim(process_cuid), completion("x" * 20_000))
    cut_off("s3.GetObject")
    assert read() == TRY_AGAIN


@pytest.mark.parametrize(
    ("reference", "metadata"),
    [
        ('"case-457"', '{"user_id": "abc-789"}'),
        (r'"\u0041\/\ud83d\ude00"', r'{"caf\u00e9": "\u00e9", "é": "é"}'),
        ('""', "{ }"),
        ("null", "null"),
        ('"1"', '{"price": 1.10, "big": 123456789012345678901234567890, "huge": 1e400}'),
        ('"2"', '{"b" : [ 1,2 ,\t-0.0 ],\n  "a":{"z":null,"y":true}}'),
        ('"3"', '{"twice": 1, "twice": 2}'),
        ('"' + "x" * 20_000 + '"', '{"big": "' + "é" * 20_000 + '"}'),
    ],
)
def test_external_data_come_back_byte_for_byte(
    submission_event: Event,
    reading_event: Callable[[str], Event],
    context: LambdaContext,
    reference: str,
    metadata: str,
) -> None:
    """External data come back in the same bytes, before the end and after."""
    submission_event["body"] = (
        f'{{"external_metadata":{metadata},"subject":"A","external_ref" :  {reference},"body":"B"}}'
    )
    cuid = json.loads(invoke("submit_mail_generation", submission_event, context)["body"])[
        "process_cuid"
    ]
    external = f'"external_ref": {reference}, "external_metadata": {metadata}'
    assert invoke("get_mail_generation", reading_event(cuid), context) == shown(
        "started", "null", external
    )
    services().store.succeed(claim(cuid), completion("Hi"))
    assert invoke("get_mail_generation", reading_event(cuid), context) == shown(
        "completed", '"Hi"', external
    )


def test_external_data_that_were_not_sent_are_null(
    submission_event: Event, reading_event: Callable[[str], Event], context: LambdaContext
) -> None:
    """Without external data both fields are there, and null."""
    submission_event["body"] = '{"subject": "A", "body": "B"}'
    cuid = json.loads(invoke("submit_mail_generation", submission_event, context)["body"])[
        "process_cuid"
    ]
    external = '"external_ref": null, "external_metadata": null'
    assert invoke("get_mail_generation", reading_event(cuid), context) == shown(
        "started", "null", external
    )


def test_an_expired_generation_is_gone(read: Read, set_clock: SetClock) -> None:
    """After the retention a generation is as absent as one that never was."""
    set_clock.advance(days=30, milliseconds=-1)
    assert read()["statusCode"] == 200
    set_clock.advance(milliseconds=1)
    assert read() == NO_SUCH_GENERATION
