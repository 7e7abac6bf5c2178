"""Bad input to a submission: a clear error in Dialonce's shape, and nothing stored."""

import base64
import json
from collections.abc import Callable

import pytest

from tests.conftest import Event, LambdaContext, Stored
from tests.endpoints.conftest import refusal
from tests.harness.api import invoke

NOTHING = Stored(items=0, messages=0, objects=0)
HALF_A_PAIR = "The body has half of a surrogate pair (\\ud800 to \\udfff), which is no character."
TOO_DEEP = "The body is nested deeper than 64 levels."
TOO_MANY_DIGITS = "The body has a number with more digits than are taken."
EMPTY_MAIL = "subject, body: one of them must be a text that is not blank."


def mail(**fields: object) -> str:
    """Return a good body with these fields changed."""
    return json.dumps({"subject": "A claim", "body": "Hello", **fields})


def mail_with(name: str, text: str) -> str:
    """Return a good body with one field more, given as it is to be written."""
    return f'{{"subject": "A claim", "body": "Hello", "{name}": {text}}}'


BAD = [
    pytest.param("", "The body is not JSON: Expecting value at line 1, column 1.", id="empty"),
    pytest.param(
        "subject=A&body=B",
        "The body is not JSON: Expecting value at line 1, column 1.",
        id="a form",
    ),
    pytest.param(
        '{"subject": "A",}',
        "The body is not JSON: Illegal trailing comma before end of object at line 1, column 16.",
        id="a comma too many",
    ),
    pytest.param("[]", "The body must be a JSON object.", id="an array"),
    pytest.param('"mail"', "The body must be a JSON object.", id="a string"),
    pytest.param("null", "The body must be a JSON object.", id="null"),
    pytest.param(
        "{}", "subject: must be present. body: must be present.", id="no subject, no body"
    ),
    pytest.param('{"body": "B"}', "subject: must be present.", id="no subject"),
    pytest.param('{"subject": "A"}', "body: must be present.", id="no body"),
    pytest.param(mail(subject="", body=""), EMPTY_MAIL, id="subject and body empty"),
    pytest.param(mail(subject=" \n", body="\t\u00a0"), EMPTY_MAIL, id="subject and body blank"),
    *(
        pytest.param(
            mail(**{field: value}),
            f"{field}: must be a string.",
            id=f"{field}: {json.dumps(value)}",
        )
        for field in ("subject", "body", "template", "external_ref")
        for value in (1, True, ["a"], {"a": 1})
    ),
    *(
        pytest.param(mail(**{field: None}), f"{field}: must be a string.", id=f"{field}: null")
        for field in ("subject", "body")
    ),
    *(
        pytest.param(
            mail(**{field: value}),
            f"{field}: must be a JSON object.",
            id=f"{field}: {json.dumps(value)}",
        )
        for field in ("metadata", "external_metadata")
        for value in ("a", 1, 1.5, False, [], ["a"])
    ),
    pytest.param(
        mail(subject=1, body=None, metadata="x"),
        "subject: must be a string. body: must be a string. metadata: must be a JSON object.",
        id="three wrong types",
    ),
    *(
        pytest.param(
            mail_with(field, f'{{"n": {constant}}}'),
            f"The body is not JSON: {constant} is not a JSON value.",
            id=f"{constant} in {field}",
        )
        for field in ("metadata", "external_metadata", "unknown")
        for constant in ("NaN", "Infinity", "-Infinity")
    ),
    *(
        pytest.param(mail_with(field, text), message, id=f"{what} in {field}")
        for field in ("metadata", "external_metadata", "unknown")
        for what, text, message in (
            ("5,000 digits", '{"n": ' + "7" * 5_000 + "}", TOO_MANY_DIGITS),
            ("10,000 arrays", '{"n": ' + "[" * 10_000 + "]" * 10_000 + "}", TOO_DEEP),
            ("10,000 objects", '{"n":' * 10_000 + "1" + "}" * 10_000, TOO_DEEP),
            ("100 arrays", '{"n": ' + "[" * 100 + "]" * 100 + "}", TOO_DEEP),
            ("half a pair", '{"n": "\\ud83d"}', HALF_A_PAIR),
            ("half a pair in a name", '{"\\udc00": 1}', HALF_A_PAIR),
        )
    ),
    *(
        pytest.param(mail_with(field, '"\\ud800"'), HALF_A_PAIR, id=f"half a pair in {field}")
        for field in ("subject", "body", "template", "external_ref")
    ),
    pytest.param(
        '{"subject": "A", "body": "\ud800"}',
        "The body is not UTF-8: byte 26 cannot be decoded.",
        id="half a pair that is not escaped",
    ),
    pytest.param(
        mail(external_ref="x" * 1_000_000),
        "external_ref: must be at most 1000000 bytes.",
        id="too much external data",
    ),
    pytest.param(
        mail(template="".join(f"[{number}]" for number in range(101))),
        "template: must have at most 100 different placeholders.",
        id="too many placeholders",
    ),
]


@pytest.mark.parametrize(("body", "message"), BAD)
def test_a_bad_body_is_refused_and_nothing_is_stored(
    submission_event: Event,
    context: LambdaContext,
    stored: Callable[[], Stored],
    body: str,
    message: str,
) -> None:
    """A body that is no mail gets 400 and says why, as text and as base64, and leaves no trace."""
    submission_event["body"] = body
    assert invoke("submit_mail_generation", submission_event, context) == refusal(400, message)
    encoded = base64.b64encode(body.encode("utf-8", "surrogatepass")).decode()
    submission_event.update(body=encoded, isBase64Encoded=True)
    assert invoke("submit_mail_generation", submission_event, context) == refusal(400, message)
    assert stored() == NOTHING


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\xff", "The body is not UTF-8: byte 0 cannot be decoded."),
        (b'{"subject": "\xe9"}', "The body is not UTF-8: byte 13 cannot be decoded."),
        (b"\x1f\x8b\x08\x00", "The body is not UTF-8: byte 1 cannot be decoded."),
        (b"\x00", "The body is not JSON: Expecting value at line 1, column 1."),
        (
            b'{"subject": "A',
            "The body is not JSON: Unterminated string starting at at line 1, column 13.",
        ),
    ],
)
def test_bytes_that_are_no_text_are_refused(
    submission_event: Event,
    context: LambdaContext,
    stored: Callable[[], Stored],
    body: bytes,
    message: str,
) -> None:
    """Bytes that are no UTF-8 or no JSON get 400, and leave no trace."""
    submission_event.update(body=base64.b64encode(body).decode(), isBase64Encoded=True)
    assert invoke("submit_mail_generation", submission_event, context) == refusal(400, message)
    assert stored() == NOTHING


@pytest.mark.parametrize("body", [None, ""])
def test_no_body_is_refused(
    submission_event: Event, context: LambdaContext, stored: Callable[[], Stored], body: str | None
) -> None:
    """A request without a body is no mail."""
    submission_event["body"] = body
    message = "The body is not JSON: Expecting value at line 1, column 1."
    assert invoke("submit_mail_generation", submission_event, context) == refusal(400, message)
    assert stored() == NOTHING


@pytest.mark.parametrize("encoded", [False, True])
def test_a_body_over_6_mb_is_too_large(
    submission_event: Event, context: LambdaContext, stored: Callable[[], Stored], *, encoded: bool
) -> None:
    """One byte more than 6,000,000 gets 413, as text and as base64."""
    body = mail(subject="x" * (6_000_001 - len(mail(subject=""))))
    submission_event["body"] = base64.b64encode(body.encode()).decode() if encoded else body
    submission_event["isBase64Encoded"] = encoded
    message = "The body must have at most 6000000 bytes, not 6000001."
    assert invoke("submit_mail_generation", submission_event, context) == refusal(413, message)
    assert stored() == NOTHING


def test_a_good_body_beside_them_is_stored(
    submission_event: Event, context: LambdaContext, stored: Callable[[], Stored]
) -> None:
    """The body that the bad ones are made from is taken."""
    submission_event["body"] = mail()
    assert invoke("submit_mail_generation", submission_event, context)["statusCode"] == 200
    assert stored() == Stored(items=1, messages=1, objects=0)
