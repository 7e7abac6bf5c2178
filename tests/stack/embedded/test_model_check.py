"""The check of a running stack's model, at its start and by the command line."""

import pytest
from typer.testing import CliRunner

import cli.stack
from cli.main import app
from cli.model_checks import QUESTIONS
from tests.stack.embedded.driver import Dev, until

CHECK_SECONDS = 90.0


def test_a_start_says_what_the_model_can(dev: Dev) -> None:
    """The start prints a line for each kind of answer, of the model that the worker asks."""

    def is_complete() -> bool:
        lines = dev.output.read_text().partition("checking the model")[2].splitlines()
        return all(any(question.check in line for line in lines) for question in QUESTIONS)

    assert until(is_complete, CHECK_SECONDS, every=1.0)


def test_the_command_line_checks_the_running_stacks_model(
    dev: Dev, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command finds the model of the stack that runs, by its own parameters."""
    monkeypatch.setattr(cli.stack, "ANNOUNCED", dev.folder / "dev.json")
    arguments = ["--local", "model", "check"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    model = dev.facts()["model"]
    assert (result.exit_code, result.stdout.splitlines()[0]) == (
        0,
        f"{model['model']} at {model['url']}",
    )
