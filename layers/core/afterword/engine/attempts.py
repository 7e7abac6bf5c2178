"""The worker: runs attempts, each from the claim over the prompts to an end or a requeue."""

import math
import random
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from afterword import clock
from afterword.engine.repairs import merge_repaired
from afterword.engine.top_up import Pace, Room, TopUp
from afterword.errors import AfterwordError, NotFoundError
from afterword.flows import outputs, placeholders
from afterword.flows.flow import read_stored_flow
from afterword.flows.json_values import UnusableError
from afterword.generations import Completion, FailedError, Reason, Status, explain_deadline
from afterword.generations.claims import ModelCall, NotDueError, TokenUsage
from afterword.knowledge import selection
from afterword.models import (
    STOP,
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
)
from afterword.runtime import telemetry
from afterword.runtime.deadline import Deadline
from afterword.runtime.queue import MAX_DELAY_SECONDS, MessageOutcome, ids_to_redeliver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from contextlib import AbstractContextManager
    from datetime import datetime

    from afterword.engine.metrics import Metrics
    from afterword.engine.model_access import ModelAccess
    from afterword.engine.outbox import Outbox
    from afterword.engine.prompting import Prompter, PromptSources
    from afterword.engine.repairs import Repairs
    from afterword.flows.flow import Flow, Step
    from afterword.flows.placeholders import Template
    from afterword.generations.claims import Claim
    from afterword.generations.store import GenerationStore
    from afterword.models import Model, Prompt
    from afterword.runtime.queue import Message, Queue
    from afterword.tenants.registry import Registry

MAX_FAILURES = 3
"""The attempts of one generation that may time out or be lost before it fails."""
LEASE_MARGIN = timedelta(seconds=10)
"""The time that a lease outlives its invocation, so that no live worker loses its claim."""
EARLY_SECONDS = 10.0
"""The most by which a message may be early for its next try, where clocks differ."""
HIDDEN_SECONDS = LEASE_MARGIN.total_seconds() + EARLY_SECONDS
"""The time after its deadline in which an invocation's leases run out by every clock."""
WRITE_SECONDS = 5.0
"""The rest of the invocation that is kept for storing the model's answer."""
BACKOFF_SECONDS = 2.0
MAX_BACKOFF_SECONDS = 60.0
MIN_MODEL_SECONDS = 1.0
"""The least time until its deadline with which a generation still calls a model."""
MIN_STEP_SECONDS = 20.0
"""The least time with which an attempt begins a further step; with less, another one does."""
_OUT_OF_TIME = "The worker's invocation ended before the model answered."


class _StepLeftError(ModelUnavailableError):
    """An attempt leaves its next step to another invocation, which is no setback."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.setback = None


class _UselessAnswerError(FailedError):
    """A model's answer is no result; its tokens are counted."""

    def __init__(self, error: FailedError, answer: Completion) -> None:
        super().__init__(error.reason, str(error))
        self.answer = answer


class _Started(NamedTuple):
    """A message whose attempt was begun with so many seconds left of its invocation."""

    message: "Message"
    left: float


class Worker:
    """Runs the generations of messages with one model, as many at once as have room."""

    def __init__(  # noqa: PLR0913, PLR0917 - the objects that an attempt calls
        self,
        store: "GenerationStore",
        outbox: "Outbox",
        registry: "Registry",
        queue: "Queue",
        prompter: "Prompter",
        model: "Model",
        access: "ModelAccess",
        repairs: "Repairs",
        metrics: "Metrics",
        room: Room,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._registry = registry
        self._queue = queue
        self._prompter = prompter
        self._model = model
        self._access = access
        self._repairs = repairs
        self._metrics = metrics
        self._room = room
        self._pace = Pace()
        self._flow = lru_cache(maxsize=256)(self._load_flow)  # a version never changes

    # --- a batch ---------------------------------------------------------------------------------

    def run_batch(self, messages: "Sequence[Message]", deadline: Deadline) -> list[str]:
        """Run the generations of all messages at once; return the message ids to redeliver.

        While any runs, the worker takes further messages of its queue, as TopUp allows, and deletes
        each once its attempt has ended. An attempt that raises (a bug, or storage out of reach) has
        its message redelivered. An attempt that outlasts the deadline is requeued; the claim of its
        thread is lost.
        """
        batch = {message.message_id for message in messages}
        outcomes: list[tuple[str, MessageOutcome]] = []
        for ended in self._run_attempts(messages, deadline):
            self._queue.delete(
                message
                for message, outcome in ended
                if message.message_id not in batch and outcome is MessageOutcome.DONE
            )
            outcomes += [
                (message.message_id, outcome)
                for message, outcome in ended
                if message.message_id in batch
            ]
        return ids_to_redeliver(outcomes)

    def _run_attempts(
        self, messages: "Sequence[Message]", deadline: Deadline
    ) -> "Iterator[list[tuple[Message, MessageOutcome]]]":
        """Run messages and what the top-up takes; yield those whose attempts have ended."""
        top_up = TopUp(self._queue, self._room, self._pace, deadline, HIDDEN_SECONDS)
        end = deadline.earlier(WRITE_SECONDS / 2)
        claims: dict[str, Claim] = {}
        running: dict[Future[MessageOutcome], _Started] = {}
        executor = ThreadPoolExecutor(
            max_workers=max(len(messages), self._room.most), thread_name_prefix="generation"
        )

        def start(some: "Sequence[Message]") -> None:
            for message in some:
                future = executor.submit(self._attempt, message, deadline, claims)
                running[future] = _Started(message, deadline.remaining())

        def ages() -> list[float]:
            left = deadline.remaining()
            return [each.left - left for each in running.values()]

        try:
            start(messages)
            while running and not end.passed:
                pause = min(top_up.seconds_to_next(ages()), max(0.0, end.remaining()))
                ended, _ = wait(running, timeout=pause, return_when=FIRST_COMPLETED)
                for future in ended:
                    self._pace.note(running[future].left - deadline.remaining())
                yield [_settle(running.pop(future).message, future) for future in ended]
                if running:
                    start(top_up.receive(ages()))
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
        yield [
            (message, self._interrupt(claims.get(message.message_id), message))
            for message, _ in running.values()
        ]

    def _interrupt(self, claim: "Claim | None", message: "Message") -> MessageOutcome:
        """Time out an attempt that has outlasted its invocation."""
        if claim is None:
            return MessageOutcome.REDELIVER
        with _name_generation(message):
            return self._time_out(claim, message, ModelTimedOutError(_OUT_OF_TIME))

    # --- an attempt: claim, prompt, call, store --------------------------------------------------

    def _attempt(
        self, message: "Message", deadline: Deadline, claims: "dict[str, Claim]"
    ) -> MessageOutcome:
        """Claim a generation and run it; put the claim into `claims` by message id."""
        log = telemetry.logger()
        log.thread_safe_append_keys(generation_id=message.id, tenant=message.tenant)
        try:
            lease = timedelta(seconds=deadline.remaining()) + LEASE_MARGIN
            try:
                claim = self._store.claim(message.tenant, message.id, clock.now() + lease)
            except NotDueError as error:
                self._wait_for(error.next_at, message)
                return MessageOutcome.DONE
            if claim is None:
                log.info("could not claim: ended, under a live lease, or absent")
                return MessageOutcome.DONE
            claims[message.message_id] = claim
            return self._run(claim, message, deadline)
        finally:
            log.thread_safe_clear_keys()

    def _run(self, claim: "Claim", message: "Message", deadline: Deadline) -> MessageOutcome:
        """Run a claimed generation to its end or its requeue."""
        try:
            _check(claim)
            template = (
                None if claim.template is None else placeholders.parse_template(claim.template)
            )
            if template is not None and not template.properties:
                completion = _without_model(template.text)
            else:
                flow = self._flow(claim.tenant, claim.flow, claim.flow_version)
                self._access.check(claim.tenant, flow)
                *first, last = flow.steps
                sources = self._prompter.read_sources(claim, flow, _call_deadline(claim, deadline))
                for step in first[len(claim.results) :]:
                    result = self._take_step(claim, sources, step, None, deadline)
                    further = self._store.finish_step(claim, result)
                    if further is None:
                        telemetry.logger().info("lost its claim", extra={"attempt": claim.attempt})
                        return MessageOutcome.DONE
                    claim = further
                    _check_time_for_a_step(claim, deadline)
                completion = self._take_step(claim, sources, last, template, deadline)
        except ModelUnavailableError as error:
            return self._requeue(claim, message, error)
        except ModelTimedOutError as error:
            return self._time_out(claim, message, error)
        except FailedError as error:
            return self._fail(claim, error.reason, str(error), _answer_of(error))
        return self._succeed(claim, _merge_steps(claim, completion))

    def _load_flow(self, tenant: str, flow: str, version: int) -> "Flow":
        try:
            stored = self._registry.get_flow(tenant, flow, version)
        except NotFoundError as error:
            raise FailedError(
                Reason.FLOW_MISSING, f"Version {version} of flow {flow} is gone."
            ) from error
        try:
            return read_stored_flow(stored.document)
        except ValueError as error:  # while versions change, another worker may know it
            unknown = f"Version {version} of flow {flow} has parts that this release cannot run."
            raise ModelUnavailableError(unknown) from error

    def _take_step(
        self,
        claim: "Claim",
        sources: "PromptSources",
        step: "Step",
        template: "Template | None",
        deadline: Deadline,
    ) -> Completion:
        """Return the result of a step, after one repair question where its answer is unusable.

        Without passages, a step's own text for that case (`otherwise`) replaces the answer. Raises
        _UselessAnswerError for an answer that is no result.
        """
        passages = self._prompter.find_passages(claim, sources, step)
        if step.context and step.context.otherwise and not passages and template is None:
            return _without_model(step.context.otherwise)
        prompt = self._prompter.build(claim, sources, step, template, passages)
        answer = self._call_model(claim, prompt, _call_deadline(claim, deadline))
        try:
            result = outputs.finish_answer(answer, step, template)
        except UnusableError as error:
            answer = self._repair(claim, prompt, answer, error, deadline)
            result = _finish(answer, step, template)
        except FailedError as error:
            raise _UselessAnswerError(error, answer) from error
        if not passages:
            return replace(result, sources=())
        from afterword.knowledge import citations

        used = citations.find_used(answer.text, passages)
        return replace(result, sources=selection.list_sources(passages, used))

    def _repair(
        self,
        claim: "Claim",
        prompt: "Prompt",
        answer: Completion,
        error: UnusableError,
        deadline: Deadline,
    ) -> Completion:
        """Return the answer to a repair question, with the tokens of both answers.

        Raises _UselessAnswerError, for the answer before, where the model is not asked or has no
        other answer: a requeue would pay for both again.
        """
        until = _call_deadline(claim, deadline)
        again = self._repairs.build_question(claim, prompt, answer, error, until)
        if again is None:
            raise _UselessAnswerError(error, answer) from error
        telemetry.logger().info("asked for a repair", extra={"attempt": claim.attempt})
        try:
            repaired = self._call_model(claim, again, until, repairs=True)
        except (ModelUnavailableError, ModelTimedOutError, ModelRefusedError) as failed:
            telemetry.logger().warning("could not repair", extra={"why": str(failed)})
            useless = _answer_of(failed)
            if useless is not None:
                answer = merge_repaired(answer, useless)
            raise _UselessAnswerError(error, answer) from error
        return merge_repaired(answer, repaired)

    def _call_model(
        self, claim: "Claim", prompt: "Prompt", deadline: Deadline, *, repairs: bool = False
    ) -> Completion:
        """Call the model, and record the call on the claim."""
        call = ModelCall(prompt.model, clock.now(), repairs=repairs)
        claim.calls.append(call)
        try:
            answer = self._model.generate(prompt, deadline.remaining())
            call.answer = _count(answer, prompt)
        except (ModelRefusedError, ModelUnavailableError) as error:
            call.answer = None if error.spent is None else _count(error.spent, prompt)
            raise
        finally:
            call.until = clock.now()
        return answer

    # --- the outcome: success, requeue or failure ------------------------------------------------

    def _succeed(self, claim: "Claim", completion: Completion) -> MessageOutcome:
        stored = self._outbox.succeed(claim, completion)
        facts = {
            "model": completion.model,
            "stop_reason": completion.stop_reason,
            "tokens_in": completion.tokens_in,
            "tokens_out": completion.tokens_out,
        }
        _log_end(claim, Status.SUCCEEDED, facts, stored=stored)
        return MessageOutcome.DONE

    def _fail(
        self, claim: "Claim", reason: Reason, explanation: str, useless: Completion | None = None
    ) -> MessageOutcome:
        answer = None if useless is None else _merge_steps(claim, useless)
        stored = self._outbox.fail(claim, reason, explanation, answer)
        _log_end(claim, Status.FAILED, {"reason": reason}, stored=stored)
        return MessageOutcome.DONE

    def _time_out(
        self, claim: "Claim", message: "Message", error: ModelTimedOutError
    ) -> MessageOutcome:
        """Requeue a generation and spend one of its failures; fail it with the last one."""
        if _seconds_until(claim.deadline_at) < MIN_MODEL_SECONDS:
            return self._fail(claim, Reason.DEADLINE, f"{explain_deadline(None)} {error}")
        if claim.failures + 1 >= MAX_FAILURES:
            return self._fail(claim, Reason.TIMED_OUT, str(error))
        return self._requeue(claim, message, error, failed=True)

    def _requeue(
        self,
        claim: "Claim",
        message: "Message",
        error: ModelUnavailableError | ModelTimedOutError,
        *,
        failed: bool = False,
    ) -> MessageOutcome:
        """Requeue a generation with its setback, for a next try after a full-jitter backoff.

        The model's `retry_after` is the least backoff; one past the deadline fails the generation.
        A delayed message comes for the next try. After a longer wait, the sweeper sends one.
        """
        remaining = _seconds_until(claim.deadline_at) - MIN_MODEL_SECONDS
        least = max(1, math.ceil(error.retry_after or 0.0))
        if remaining < least:
            explanation = f"The model could not be asked again before the deadline. {error}"
            return self._fail(claim, Reason.DEADLINE, explanation, _answer_of(error))
        delay = max(least, min(math.ceil(_backoff(claim.attempt)), int(remaining)))
        next_at = clock.now() + timedelta(seconds=delay)
        in_table = delay > MAX_DELAY_SECONDS
        requeued = self._store.requeue(
            claim,
            failed=failed,
            setback=error.setback,
            next_at=next_at,
            in_table=in_table,
            spent=_answer_of(error),
        )
        if not requeued:
            telemetry.logger().info("lost its claim", extra={"attempt": claim.attempt})
            return MessageOutcome.DONE
        self._metrics.record_requeue(claim)
        telemetry.logger().warning(
            "requeued", extra={"why": str(error), "attempt": claim.attempt, "retry_in": delay}
        )
        if not in_table:
            self._send_later(message, delay)
        return MessageOutcome.DONE

    def _wait_for(self, next_at: "datetime", message: "Message") -> None:
        """Send a message again that is a little early for the next try; leave out any other.

        Another message comes for that try, or the sweeper sends one. So where two messages of a
        generation meet, one is left.
        """
        early = _seconds_until(next_at)
        again = early <= EARLY_SECONDS
        telemetry.logger().info(
            "came early: sent again" if again else "came early: left out",
            extra={"early": round(early, 3)},
        )
        if again:
            self._send_later(message, max(1, math.ceil(early)))

    def _send_later(self, message: "Message", seconds: int) -> None:
        """Send a message again with a delay; without success, the sweeper sends the next one."""
        body = {"tenant": message.tenant, "id": message.id}
        group = message.attributes.get("MessageGroupId", message.tenant)
        try:
            self._queue.send_later(group, body, seconds)
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().warning("could not send again", extra={"why": str(error)})


def _name_generation(message: "Message") -> "AbstractContextManager[None]":
    """Add a message's generation to the log lines of the block."""
    return telemetry.logger().append_context_keys(generation_id=message.id, tenant=message.tenant)


def _settle(
    message: "Message", future: "Future[MessageOutcome]"
) -> "tuple[Message, MessageOutcome]":
    """Return a message with the outcome of its attempt, which has ended."""
    if (error := future.exception()) is None:
        return message, future.result()
    with _name_generation(message):
        telemetry.logger().error("could not run an attempt", exc_info=error)
    return message, MessageOutcome.REDELIVER


def _check(claim: "Claim") -> None:
    """Raise FailedError if an attempt is pointless."""
    if _seconds_until(claim.deadline_at) < MIN_MODEL_SECONDS:
        raise FailedError(Reason.DEADLINE, explain_deadline(claim.setback))
    if claim.gone:
        raise FailedError(
            Reason.INPUT_MISSING,
            "Its inputs, or the result of a step, are gone from storage. Submit the request again.",
        )
    if claim.failures >= MAX_FAILURES:
        raise FailedError(Reason.WORKER_LOST, f"Its worker was lost {claim.failures} times.")


def _check_time_for_a_step(claim: "Claim", deadline: Deadline) -> None:
    """Raise _StepLeftError if the next step is better left to another invocation."""
    if _call_deadline(claim, deadline).remaining() < MIN_STEP_SECONDS:
        raise _StepLeftError("The invocation has no time left for the next step.")


def _call_deadline(claim: "Claim", deadline: Deadline) -> Deadline:
    """Return the deadline of a call of the model: the invocation's, or the claim's if earlier."""
    of_claim = Deadline.after(_seconds_until(claim.deadline_at))
    return min(deadline.earlier(WRITE_SECONDS), of_claim)


def _seconds_until(moment: "datetime") -> float:
    return (moment - clock.now()).total_seconds()


def _backoff(attempt: int) -> float:
    """Return seconds to wait before the next attempt: full jitter under an exponential bound."""
    bound = min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * 2 ** min(attempt - 1, 10))
    return random.uniform(0, bound)  # noqa: S311 - spreads load, guards nothing # nosec B311


def _without_model(text: str) -> Completion:
    """Return the completion of a text that needs no model."""
    return Completion(text=text, model=None, stop_reason=STOP, tokens_in=0, tokens_out=0)


def _finish(answer: Completion, step: "Step", template: "Template | None") -> Completion:
    """Return the finished result of an answer; raise _UselessAnswerError for another one."""
    try:
        return outputs.finish_answer(answer, step, template)
    except FailedError as error:
        raise _UselessAnswerError(error, answer) from error


def _answer_of(error: AfterwordError) -> Completion | None:
    """Return the useless answer of a failure, for its tokens; None where none came."""
    match error:
        case _UselessAnswerError():
            return error.answer
        case ModelRefusedError() | ModelUnavailableError():
            return error.spent
        case _:
            return None


def _count(answer: Completion, prompt: "Prompt") -> TokenUsage:
    return TokenUsage(prompt.model, answer.tokens_in, answer.tokens_out)


def _merge_steps(claim: "Claim", answer: Completion) -> Completion:
    """Return the answer with the tokens and the sources of the steps before it.

    The tokens of answers that failed in earlier attempts are the answer's, too.
    """
    spent_in, spent_out = claim.spent
    return replace(
        answer,
        tokens_in=answer.tokens_in + spent_in + sum(each.tokens_in for each in claim.results),
        tokens_out=answer.tokens_out + spent_out + sum(each.tokens_out for each in claim.results),
        estimated=any(each.estimated for each in (*claim.results, answer)),
        sources=selection.merge_sources(
            source for each in (*claim.results, answer) for source in each.sources
        ),
    )


def _log_end(
    claim: "Claim", status: Status, facts: "Mapping[str, object]", *, stored: bool
) -> None:
    telemetry.logger().info(
        "finished" if stored else "finished too late: lost its claim",
        extra={
            "status": status,
            "flow": claim.flow,
            "attempt": claim.attempt,
            "seconds": round((clock.now() - claim.created_at).total_seconds(), 3),
            **facts,
        },
    )
