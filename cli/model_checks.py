"""The questions of `afterword model check`: one for each kind of answer that flows ask for.

Each question is a flow's step, with the prompt and the check of the answer that the worker has.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from afterword.engine.prompting import build_prompt
from afterword.engine.repairs import (
    MAX_REPAIRED,
    MIN_REPAIR_SECONDS,
    build_repair,
    merge_repaired,
)
from afterword.flows import outputs, placeholders
from afterword.flows.classes import ConfidenceSource
from afterword.flows.flow import Class, Step
from afterword.flows.json_values import UnusableError
from afterword.generations import Completion, FailedError, Output, Reason, SetbackReason
from afterword.models import (
    LENGTH,
    ModelError,
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterword.flows.placeholders import Template
    from afterword.models import Model, Prompt

_STEP = "check"
_MAIL = {
    "mail": "Hello, I am Jane Miller. I sent the lamp back on Monday: when will my 46 euros be"
    " paid back?"
}
_CUT_TOKENS = 8
"""The most that a model may answer to a question with one token: servers count differently."""
_PLACE_HINT = (
    "Check the base URL, which ends with the API's version (…/v1), or the region, and that this"
    " machine reaches it."
)
_TRUNCATED_HINT = (
    "A model that reasons spends tokens on it: give each step of a flow a max_tokens of thousands."
)
_REPAIRED = (
    "only after a second question that says what is wrong: such steps cost about twice as much"
)
_SAYS_SO = "an answer that is cut off says so"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A step that asks for one kind of answer; `without` says what flows do where it fails."""

    check: str
    step: Step
    without: str
    template: "Template | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A question's outcome. The tokens are None where no answer came.

    - `reason` and `message` are the failure that a generation would have, None where it works.
    - `hint` is the remedy of a failure, or what is worth to know of an answer that is fine.
    - `answered` is false where the model could not be asked.
    - With `estimated` the provider did not count all tokens.
    """

    check: str
    works: bool
    seconds: float
    tokens_in: int | None = None
    tokens_out: int | None = None
    estimated: bool = False
    reason: str | None = None
    message: str | None = None
    hint: str | None = None
    answered: bool = True


@dataclass(frozen=True, slots=True)
class _Verdict:
    hint: str | None
    message: str | None = None


QUESTIONS = (
    Question(
        check="text",
        step=Step(
            name=_STEP,
            instructions="Answer in one short sentence.",
            prompt="What is the capital of France?",
            temperature=0.2,
        ),
        without="No flow works with this model.",
    ),
    Question(
        check="array",
        step=Step(
            name=_STEP,
            instructions="Name three colours, each in one word.",
            output=Output.ARRAY,
            temperature=0.2,
        ),
        without="Steps with the output array fail with this model: name another in them.",
    ),
    Question(
        check="json",
        step=Step(
            name=_STEP,
            instructions="Extract the sender's name and the amount in euros from the mail.",
            output=Output.JSON,
            output_schema={
                "type": "object",
                "properties": {
                    "name": {"type": "string", "maxLength": 60},
                    "euros": {"type": "number"},
                },
                "required": ["name", "euros"],
                "additionalProperties": False,
            },
            temperature=0.2,
        ),
        without="Steps with the output json fail with this model: name another in them.",
    ),
    Question(
        check="template",
        step=Step(
            name=_STEP,
            instructions="You answer the mails of a shop's customers.",
            temperature=0.2,
        ),
        template=placeholders.parse_template(
            "Dear [the customer's name], thank you for your mail about [its topic in a few words]."
        ),
        without="Mails with a template fail with this model: name another in their flow's steps.",
    ),
    Question(
        check="class",
        step=Step(
            name=_STEP,
            instructions="Sort the mails of a shop's customers.",
            classes=(Class(name="refund"), Class(name="delivery"), Class(name="other")),
            temperature=0.0,
        ),
        without="Steps with classes fail with this model: name another in them.",
    ),
    Question(
        check="one token",
        step=Step(
            name=_STEP, prompt="Count from one to twenty, in words.", max_tokens=1, temperature=0.2
        ),
        without="Give steps a max_tokens of hundreds at least.",
    ),
)
"""The plain text comes first: without one, no other question is worth its tokens."""


def ask_all(model: "Model", name: str, timeout: float, until: float = 0.0) -> Iterator[Outcome]:
    """Ask a model the questions, and yield each outcome as it comes.

    `timeout` are the seconds of one question; `until` is a time of time.monotonic after which no
    further one is asked, 0 for none. Without an answer to the plain text, no other is asked.
    """
    for question in QUESTIONS:
        seconds = timeout if not until else min(timeout, until - time.monotonic())
        if seconds <= 0:
            return
        outcome = _ask(model, name, question, seconds)
        yield outcome
        if not outcome.answered and question is QUESTIONS[0]:
            return


def not_asked(outcomes: "Sequence[Outcome]") -> list[str]:
    """Return the checks of the questions that were not asked."""
    return [question.check for question in QUESTIONS[len(outcomes) :]]


def _ask(model: "Model", name: str, question: Question, timeout: float) -> Outcome:
    prompt = build_prompt(question.step, _MAIL, question.template, name)
    answer: Completion | None = None
    failure: ModelError | FailedError | None = None
    started = time.monotonic()
    try:
        answer = model.generate(prompt, timeout)
        try:
            verdict = _judge(_finish(answer, question), question)
        except UnusableError as error:
            answer = _repair(model, prompt, answer, error, started + timeout)
            verdict = _Verdict(_join(_REPAIRED, _judge(_finish(answer, question), question).hint))
    except (ModelError, FailedError) as error:
        failure = error
        verdict = _judge_failure(error, question, timeout)
        if isinstance(error, ModelRefusedError) and answer is None:
            answer = error.spent
    return Outcome(
        check=question.check,
        works=verdict.message is None,
        seconds=time.monotonic() - started,
        tokens_in=None if answer is None else answer.tokens_in,
        tokens_out=None if answer is None else answer.tokens_out,
        estimated=answer is not None and answer.estimated,
        reason=None if verdict.message is None or failure is None else _reason(failure),
        message=verdict.message,
        hint=verdict.hint,
        answered=answer is not None,
    )


def _finish(answer: Completion, question: Question) -> Completion:
    return outputs.finish_answer(answer, question.step, question.template)


def _repair(
    model: "Model", prompt: "Prompt", answer: Completion, error: UnusableError, until: float
) -> Completion:
    """Return the answer to the worker's repair question, with the tokens of both.

    Raises the error about the answer before where the question is not asked, or not answered.
    """
    seconds = until - time.monotonic()
    if seconds < MIN_REPAIR_SECONDS or len(answer.text) > MAX_REPAIRED:
        raise error
    try:
        repaired = model.generate(build_repair(prompt, answer.text, error.complaint), seconds)
    except ModelError as failed:
        raise error from failed
    return merge_repaired(answer, repaired)


def _join(*texts: str | None) -> str:
    return "; ".join(text for text in texts if text)


def _judge(completion: Completion, question: Question) -> _Verdict:
    """Return the verdict on an answer that a generation would succeed with."""
    if question.step.max_tokens == 1:
        return _judge_cut(completion)
    if question.step.classes:
        source = json.loads(completion.text)["confidence_source"]
        if source == ConfidenceSource.LOG_PROBABILITIES:
            return _Verdict("the confidence is measured, by log probabilities")
        return _Verdict("the confidence is the model's own word: it gives no log probabilities")
    if completion.stop_reason == LENGTH:
        return _Verdict(f"cut off after {completion.tokens_out} tokens")
    return _Verdict(None)


def _judge_cut(completion: Completion) -> _Verdict:
    if completion.tokens_out > _CUT_TOKENS and not completion.estimated:
        return _Verdict(
            "Answers may cost more than a flow allows; the tenant's limit of tokens still holds.",
            f"max_tokens is not kept: {completion.tokens_out} tokens came where 1 was asked for.",
        )
    if completion.stop_reason != LENGTH:
        return _Verdict(
            "Texts that end too early look finished: give steps a max_tokens that is high enough.",
            "An answer that is cut off does not say so.",
        )
    return _Verdict(_SAYS_SO)


def _judge_failure(error: ModelError | FailedError, question: Question, timeout: float) -> _Verdict:
    """Return the verdict on what a generation would fail or wait with."""
    if question.step.max_tokens == 1 and _is_truncated(error):
        return _Verdict(f"{_SAYS_SO}, though without a text. {_TRUNCATED_HINT}")
    return _Verdict(_remedy(error, question, timeout), str(error))


def _is_truncated(error: ModelError | FailedError) -> bool:
    return isinstance(error, FailedError) and error.reason is Reason.OUTPUT_TRUNCATED


def _reason(error: ModelError | FailedError) -> str | None:
    match error:
        case FailedError():
            return error.reason
        case ModelUnavailableError() | ModelTimedOutError() if error.setback is not None:
            return error.setback.reason
    return None


def _remedy(error: ModelError | FailedError, question: Question, timeout: float) -> str | None:
    """Return the remedy of a failure that its message does not have; None without one."""
    match error:
        case ModelTimedOutError():
            return (
                f"It had {timeout:.0f} s: more with --timeout, up to the 295 s of the worker; or"
                " take a faster model."
            )
        case ModelUnavailableError() if _secret_is_unreadable(error):
            return (
                "Reading the secret needs secretsmanager:GetSecretValue on it, and kms:Decrypt for"
                " a key of your own."
            )
        case ModelUnavailableError() if _is_throttled(error):
            return "The worker asks again until the deadline: repeat the check in a minute."
        case ModelUnavailableError():
            return _PLACE_HINT
        case FailedError():
            return _remedy_of(error.reason, question)
    return None


def _remedy_of(reason: Reason, question: Question) -> str | None:
    is_text = question is QUESTIONS[0]
    match reason:
        case Reason.OUTPUT_TRUNCATED | Reason.EMPTY_OUTPUT:
            return _TRUNCATED_HINT
        case Reason.MODEL_ACCESS_DENIED | Reason.MODEL_NOT_FOUND | Reason.MODEL_QUOTA_EXCEEDED:
            return None  # the message says what to do
        case Reason.INVALID_RESPONSE if is_text:
            return _PLACE_HINT
        case _:
            return question.without


def _secret_is_unreadable(error: ModelUnavailableError) -> bool:
    cause = error.__cause__
    return isinstance(cause, ClientError) and cause.operation_name == "GetSecretValue"


def _is_throttled(error: ModelUnavailableError) -> bool:
    return error.setback is not None and error.setback.reason is SetbackReason.THROTTLED
