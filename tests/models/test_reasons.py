"""The causes of providers' errors, by bodies that endpoints have answered.

`wild.json` has one of each kind and provider, after public reports, with the prompts taken out.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from afterword.models.error_detail import ErrorDetail, error_status, read_error
from afterword.models.openai_answer import parse_body
from afterword.models.parameters import RESPONSE_FORMAT, SYSTEM, refused_parameters
from afterword.models.reasons import Cause, find_cause, show_error

WILD = json.loads((Path(__file__).parent / "wild.json").read_text())
SENT = ("max_tokens", "temperature", "logprobs", RESPONSE_FORMAT, SYSTEM)


def read_case(case: dict[str, Any]) -> ErrorDetail:
    body = case["body"]
    parsed = parse_body(body.encode()) if isinstance(body, str) else body
    status = case["status"] if case["status"] >= 300 else error_status(parsed, case["status"])
    return read_error(parsed, status)


def name_case(case: dict[str, Any]) -> str:
    return f"{case['of']}-{case['status']}"


@pytest.mark.parametrize("case", WILD, ids=name_case)
def test_an_error_has_the_cause_that_its_provider_means(case: dict[str, Any]) -> None:
    """Codes, words and status of each provider lead to the same few causes."""
    causes = {
        "model_quota_exceeded": Cause.QUOTA_EXCEEDED,
        "model_access_denied": Cause.ACCESS_DENIED,
    }
    expected = causes.get(case["cause"]) or Cause[case["cause"].upper()]
    assert find_cause(read_case(case)) is expected


@pytest.mark.parametrize("case", WILD, ids=name_case)
def test_an_error_refuses_the_parameters_that_it_names_and_no_other(case: dict[str, Any]) -> None:
    """A parameter that is not supported is found; a value out of bounds refuses none."""
    if find_cause(read_case(case)) in {Cause.TOO_LONG, Cause.REFUSED_CONTENT, Cause.QUOTA_EXCEEDED}:
        return
    assert list(refused_parameters(read_case(case), SENT)) == case.get("refuses", [])


@pytest.mark.parametrize("case", [each for each in WILD if "shows" in each], ids=name_case)
def test_the_telling_code_is_shown_with_its_parameter(case: dict[str, Any]) -> None:
    """Of several codes the one that says most is shown, and the parameter stands beside it."""
    assert show_error(read_case(case)) == case["shows"]
