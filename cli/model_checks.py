"""The checks of a model: a question of each kind, asked and read as the worker does."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from afterword.engine.prompting import build_prompt
from afterword.engine.repairs import MAX_REPAIRED, build_repair, merge_repaired
from afterword.flows.answers import UnusableError
from afterword.flows.flow import Step
from afterword.flows.outputs import finish_answer
from afterword.flows.placeholders import Template, parse_template
from afterword.generations import Completion, FailedError, Output, Reason
from afterword.models import (
    LENGTH,
    ModelError,
    ModelTimedOutError,
    ModelUnavailableError,
)
from cli.terminal import plain

if TYPE_CHECKING:
    from afterword.models import Model

_SHOWN = 60
"""Characters of an answer that are shown."""
_MAIL = {
    "subject": "Return of a lamp",
    "body": "Hello, how do I send back the lamp of my order? Best regards, Jane Miller",
}
_PERSON: Mapping[str, object] = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


class Verdict(StrEnum):
    """The outcome of a check."""

    YES = "yes"
    NO = "no"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A question: a step of a flow, its inputs, and the template to fill; None without one."""

    name: str
    step: Step
    values: Mapping[str, str]
    template: Template | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of a check.

    - `answer` is the finished answer; None without one.
    - `reason` is that of a generation which fails so, or None; `message` says more.
    - `learned` are the adaptations that this check's answer needed first.
    """

    check: str
    verdict: Verdict
    seconds: float = 0.0
    answer: Completion | None = None
    reason: str | None = None
    message: str | None = None
    learned: tuple[str, ...] = ()


TEXT = Check(
    name="text",
    step=Step(name="text", prompt="What is a warranty? Answer in one short sentence."),
    values={},
)
ONE_TOKEN = Check(
    name="one token",
    step=Step(name="one_token", prompt="Count from one to twenty, in words.", max_tokens=1),
    values={},
)
CHECKS = (
    TEXT,
    Check(
        name="array",
        step=Step(name="array", prompt="Name three colours.", output=Output.ARRAY),
        values={},
    ),
    Check(
        name="JSON",
        step=Step(
            name="json",
            prompt="Jane Miller is 41 years old. What is her name, and her age?",
            output=Output.JSON,
            output_schema=dict(_PERSON),
        ),
        values={},
    ),
    Check(
        name="template",
        step=Step(name="template", instructions="You answer the mails of a shop's customers."),
        values=_MAIL,
        template=parse_template(
            "Dear [the customer's full name],\nthank you for your mail about [the subject].\n"
        ),
    ),
    ONE_TOKEN,
)
"""The questions, in the order in which they are asked. Without a text, no other is asked."""


def check_model(
    model: "Model", name: str, timeout: float, total: float = math.inf
) -> Iterator[Finding]:
    """Ask a model each question, and yield the findings.

    A question has up to `timeout` seconds, and all of them up to `total`.
    """
    known: set[str] = set()
    ends = time.monotonic() + total
    for check in CHECKS:
        started = time.monotonic()
        if started >= ends:
            yield Finding(check=check.name, verdict=Verdict.NOT_ASKED)
            continue
        finding = _ask(model, name, check, min(timeout, ends - started))
        described = model.describe_adaptations(name)
        learned = tuple(each for each in described if each not in known)
        known.update(learned)
        yield replace(finding, seconds=time.monotonic() - started, learned=learned)
        if check is TEXT and finding.verdict is not Verdict.YES:
            ends = started


def _ask(model: "Model", name: str, check: Check, timeout: float) -> Finding:
    prompt = build_prompt(check.step, check.values, check.template, name)
    ends = time.monotonic() + timeout
    repair = None
    try:
        answer = model.generate(prompt, timeout)
        try:
            answer = finish_answer(answer, check.step, check.template)
        except UnusableError as error:
            again = build_repair(prompt, answer.text[:MAX_REPAIRED], error.complaint)
            repaired = model.generate(again, max(1.0, ends - time.monotonic()))
            finished = finish_answer(repaired, check.step, check.template)
            answer = merge_repaired(answer, finished)
            repair = f"after a repair question: {error.complaint}"
    except FailedError as error:
        if check is ONE_TOKEN and error.reason is Reason.OUTPUT_TRUNCATED:
            told = "cut before any text, and told so"
            return Finding(check=check.name, verdict=Verdict.YES, message=told)
        return _failed(check, error.reason, error)
    except (ModelUnavailableError, ModelTimedOutError) as error:
        return _failed(check, "timed_out" if isinstance(error, ModelTimedOutError) else None, error)
    if check is not ONE_TOKEN:
        return Finding(check=check.name, verdict=Verdict.YES, answer=answer, message=repair)
    if answer.stop_reason == LENGTH:
        told = "cut, and told so"
        return Finding(check=check.name, verdict=Verdict.YES, answer=answer, message=told)
    ignored = "the answer is not said to be cut: an answer that max_tokens cuts passes for whole"
    return Finding(check=check.name, verdict=Verdict.NO, answer=answer, message=ignored)


def _failed(check: Check, reason: str | None, error: ModelError | FailedError) -> Finding:
    return Finding(check=check.name, verdict=Verdict.NO, reason=reason, message=str(error))


def describe(finding: Finding) -> str:
    """Return a finding as lines for a person: the check's, and one for each adaptation."""
    parts = [f"{finding.check:<10}", f"{finding.verdict:<9}"]
    if finding.verdict is not Verdict.NOT_ASKED:
        parts.append(f"{finding.seconds:5.1f} s ")
    if finding.answer is not None:
        about = "about " if finding.answer.estimated else ""
        counted = f"{about}{finding.answer.tokens_in} + {finding.answer.tokens_out} tokens"
        parts.append(f"{counted:<18}")
    if finding.message is not None:
        why = f"{finding.reason}: " if finding.reason else ""
        parts.append(plain(" ".join(f"{why}{finding.message}".split())))
    elif finding.answer is not None:
        text = " ".join(finding.answer.text.split())
        parts.append(plain(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"))
    line = " ".join(parts).rstrip()
    return "\n".join((line, *(f"{'':<10} adapted: {plain(each)}" for each in finding.learned)))
