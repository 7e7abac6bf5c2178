"""`afterword model check` against a real llama.cpp server, by its command line."""

import json

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.model_checks import QUESTIONS
from local.models import DEMO_MODEL

pytestmark = [pytest.mark.sockets, pytest.mark.long]


def test_a_real_model_is_checked(llama: str) -> None:
    """The demo's model has each kind of answer, with measured confidence and told cuts."""
    arguments = ["model", "check", "--url", llama, "--model", DEMO_MODEL, "--json"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert (result.exit_code, result.stderr) == (0, "")
    shown = json.loads(result.stdout)
    assert (shown["model"], shown["url"], shown["not_asked"]) == (DEMO_MODEL, llama, [])
    checks = {each["check"]: each for each in shown["checks"]}
    assert list(checks) == [question.check for question in QUESTIONS]
    for name, check in checks.items():
        assert check["works"], (name, check)
        assert not check["estimated"]
        assert check["tokens_in"] > 10
    assert checks["class"]["hint"] == "the confidence is measured, by log probabilities"
    assert checks["one token"]["tokens_out"] == 1
    assert shown["adaptations"] == []
