"""The worker: claims a generation, runs its model, stores what came of it."""

import random
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from afterword import clock
from afterword.engine import attachments
from afterword.engine.prompting import build_prompt, build_question, select_turns
from afterword.errors import NotFoundError
from afterword.flows import outputs, placeholders
from afterword.flows.flow import Flow
from afterword.generations import Completion, ContextFilter, FailedError, Reason, Status
from afterword.generations.claims import ModelCall, TokenUsage
from afterword.knowledge import citations, selection
from afterword.models import (
    STOP,
    ModelTimedOutError,
    ModelUnavailableError,
)
from afterword.runtime import telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from afterword.engine.metrics import Metrics
    from afterword.engine.outbox import Outbox
    from afterword.flows.flow import Step
    from afterword.flows.placeholders import Template
    from afterword.generations.claims import Claim
    from afterword.generations.details import GenerationDetail
    from afterword.generations.listings import Listings
    from afterword.generations.store import GenerationStore
    from afterword.knowledge.ranking import Ranked
    from afterword.knowledge.selection import Knowledge
    from afterword.models import Model, Prompt
    from afterword.runtime.queue import Message, Queue
    from afterword.tenants.registry import Registry

MAX_FAILURES = 3
"""Attempts of one generation that may time out or be lost before it fails for good."""
LEASE_MARGIN = timedelta(seconds=10)
"""A lease outlives its invocation by this, so that no live worker is ever taken over."""
WRITE_SECONDS = 5.0
"""Kept of the invocation's time for storing what the model answered."""
BACKOFF_SECONDS = 2.0
MAX_BACKOFF_SECONDS = 60.0
MIN_MODEL_SECONDS = 1.0
"""With less than this to go until its deadline, no model is asked."""
MIN_STEP_SECONDS = 20.0
"""With less than this to go of the invocation, another one begins the next step."""
_PAST_DEADLINE = "It was not finished before its deadline."
_OUT_OF_TIME = "The worker's invocation ended before the model answered."


class Worker:
    """Runs generations with one model, for messages that came in one batch."""

    def __init__(  # noqa: PLR0913, PLR0917 - what running a generation touches
        self,
        store: "GenerationStore",
        listings: "Listings",
        outbox: "Outbox",
        registry: "Registry",
        queue: "Queue",
        knowledge: "Knowledge",
        model: "Model",
        default_model: str,
        metrics: "Metrics",
    ) -> None:
        self._store = store
        self._listings = listings
        self._outbox = outbox
        self._registry = registry
        self._queue = queue
        self._knowledge = knowledge
        self._model = model
        self._default_model = default_model
        self._metrics = metrics
        self._flow = lru_cache(maxsize=256)(self._load_flow)  # a version never changes

    def run_batch(self, messages: "Sequence[Message]", seconds: float) -> list[str]:
        """Run all messages at once; return the message ids of those that must come again.

        `seconds` is what is left of the invocation. What raises (a bug, or storage that is out of
        reach) comes again when its message does. What has not finished in time is handed back, and
        its thread, should it ever go on, finds that the generation is no longer its own.
        """
        log = telemetry.logger()
        started = time.monotonic()
        claims: dict[str, Claim] = {}
        executor = ThreadPoolExecutor(max_workers=len(messages), thread_name_prefix="generation")
        try:
            futures = {
                executor.submit(self._run, message, started + seconds, claims): message
                for message in messages
            }
            finished, _ = wait(futures, timeout=max(0.0, seconds - WRITE_SECONDS / 2))
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
        again: list[str] = []
        for future, message in futures.items():
            if future not in finished:
                claim = claims.get(message.message_id)
                with log.append_context_keys(generation_id=message.id, tenant=message.tenant):
                    if claim is None or not self._time_out(claim, message, _OUT_OF_TIME):
                        again.append(message.message_id)
            elif (error := future.exception()) is not None:
                facts = {"generation_id": message.id, "tenant": message.tenant}
                log.error("the worker failed", exc_info=error, extra=facts)
                again.append(message.message_id)
            elif not future.result():
                again.append(message.message_id)
        return again

    def _run(self, message: "Message", ends: float, claims: "dict[str, Claim]") -> bool:
        """Run one generation; return whether its message is done with.

        `ends` is monotonic; `claims` gets the claim, by the id of its message.
        """
        log = telemetry.logger()
        log.thread_safe_append_keys(generation_id=message.id, tenant=message.tenant)
        try:
            lease = timedelta(seconds=ends - time.monotonic()) + LEASE_MARGIN
            claim = self._store.claim(message.tenant, message.id, clock.now() + lease)
            if claim is None:
                log.info("nothing to claim: finished, held by another worker, or gone")
                return True
            claims[message.message_id] = claim
            self._metrics.record_claim(claim)
            return self._generate(claim, message, ends)
        finally:
            log.thread_safe_clear_keys()

    def _generate(self, claim: "Claim", message: "Message", ends: float) -> bool:
        answer: Completion | None = None
        try:
            self._check(claim)
            template = (
                None if claim.template is None else placeholders.parse_template(claim.template)
            )
            if template is not None and not template.properties:
                completion = _without_model(template.text)
            else:
                flow = self._flow(claim.tenant, claim.flow, claim.flow_version)
                *first, last = flow.steps
                files = self._read_files(claim, flow.steps[len(claim.results) :], ends)
                earlier = self._earlier(claim)
                for step in first[len(claim.results) :]:
                    answer = self._ask(claim, flow, step, None, files, earlier, ends)
                    done = self._store.finish_step(claim, outputs.finish_answer(answer, step, None))
                    if done is None:
                        return self._lost(claim)
                    claim, answer = done, None
                    _check_time_for_a_step(claim, ends)
                answer = self._ask(claim, flow, last, template, files, earlier, ends)
                completion = outputs.finish_answer(answer, last, template)
        except ModelUnavailableError as error:
            return self._hand_back(claim, message, str(error), error.retry_after)
        except ModelTimedOutError as error:
            return self._time_out(claim, message, str(error))
        except FailedError as error:
            spent = None if answer is None else _all_together(claim, answer)
            return self._fail(claim, error.reason, str(error), spent)
        completion = _all_together(claim, completion)
        stored = self._outbox.succeed(claim, completion)
        self._log_end(claim, stored=stored, status=Status.SUCCEEDED, completion=completion)
        return True

    @staticmethod
    def _lost(claim: "Claim") -> bool:
        """Stop, because another attempt holds it, or it has come to its end."""
        telemetry.logger().info("stopped: no longer its own", extra={"attempt": claim.attempt})
        return True

    @staticmethod
    def _check(claim: "Claim") -> None:
        """Raise FailedError if the generation is not worth to be begun."""
        if _seconds_until(claim.deadline_at) < MIN_MODEL_SECONDS:
            raise FailedError(Reason.DEADLINE, _PAST_DEADLINE)
        if claim.failures >= MAX_FAILURES:
            raise FailedError(Reason.WORKER_LOST, f"Its worker was lost {claim.failures} times.")

    def _read_files(
        self, claim: "Claim", steps: "Sequence[Step]", ends: float
    ) -> attachments.PreparedFiles:
        if not claim.files:
            return attachments.PreparedFiles()
        return attachments.prepare_files(
            claim.files, steps, self._model.documents, self._store.read_file, _until(claim, ends)
        )

    def _earlier(self, claim: "Claim") -> "Sequence[GenerationDetail]":
        """Return the earlier questions of the claim's conversation, oldest first."""
        if claim.conversation is None:
            return ()
        questions = self._listings.read_conversation(
            claim.tenant, claim.flow, claim.conversation, until=claim.order
        )
        return [each for each in questions if each.generation.id != claim.id]

    def _ask(  # noqa: PLR0913, PLR0917 - what an answer depends on
        self,
        claim: "Claim",
        flow: Flow,
        step: "Step",
        template: "Template | None",
        files: attachments.PreparedFiles,
        earlier: "Sequence[GenerationDetail]",
        ends: float,
    ) -> Completion:
        """Return the model's answer to a step, awaited no longer than until the deadline.

        Or what the step says instead, if the knowledge base has nothing for it. A conversation goes
        with the first step: what comes after works on that one's result.
        """
        results = dict(zip((done.name for done in flow.steps), claim.results, strict=False))
        passages = self._passages(claim, step, results, earlier)
        if step.context and step.context.otherwise and not passages and template is None:
            return _without_model(step.context.otherwise)
        prompt = build_prompt(
            step,
            claim.inputs,
            template,
            self._default_model,
            results=results,
            texts=files.texts,
            attachments=files.of(step),
            passages=passages,
            turns=() if results else select_turns(earlier, flow.history_tokens),
        )
        answer = self._generated(claim, prompt, _until(claim, ends) - time.monotonic())
        used = citations.find_used(answer.text, passages) if passages else ()
        return replace(answer, sources=selection.list_sources(passages, used))

    def _generated(self, claim: "Claim", prompt: "Prompt", timeout: float) -> Completion:
        """Ask the model, and note on the claim what that takes."""
        asked = ModelCall(prompt.model, clock.now())
        claim.asked.append(asked)
        try:
            answer = self._model.generate(prompt, timeout)
            asked.answer = TokenUsage(prompt.model, answer.tokens_in, answer.tokens_out)
        finally:
            asked.until = clock.now()
        return answer

    def _passages(
        self,
        claim: "Claim",
        step: "Step",
        results: "Mapping[str, Completion]",
        earlier: "Sequence[GenerationDetail]",
    ) -> "Sequence[Ranked]":
        """Return the passages of a step's context.

        A question that finds none by itself may be about the one before it ("And in winter?").
        """
        if step.context is None:
            return ()
        question = build_question(step.context, claim.inputs, results)
        questions = [question]
        if earlier:
            before = build_question(step.context, earlier[-1].inputs, results)
            questions.append(f"{before}\n{question}")
        chosen = claim.context.get(step.name, ContextFilter())
        return self._knowledge.find_passages(
            claim.tenant,
            step.context.folders if chosen.folders is None else chosen.folders,
            step.context.tags if chosen.tags is None else chosen.tags,
            questions,
            step.context.passages,
        )

    def _load_flow(self, tenant: str, flow: str, version: int) -> Flow:
        try:
            stored = self._registry.get_flow(tenant, flow, version)
        except NotFoundError as error:
            raise FailedError(Reason.FLOW_MISSING, f"Flow {flow} is gone.") from error
        return Flow.model_validate_json(stored.document)

    def _time_out(self, claim: "Claim", message: "Message", why: str) -> bool:
        """Spend one of the generation's failures: hand it back, or fail it with the last one."""
        if _seconds_until(claim.deadline_at) < MIN_MODEL_SECONDS:
            return self._fail(claim, Reason.DEADLINE, _PAST_DEADLINE)
        if claim.failures + 1 >= MAX_FAILURES:
            return self._fail(claim, Reason.TIMED_OUT, why)
        return self._hand_back(claim, message, why, retry_after=None, failed=True)

    def _hand_back(
        self,
        claim: "Claim",
        message: "Message",
        why: str,
        retry_after: float | None,
        *,
        failed: bool = False,
    ) -> bool:
        """Queue it again; its message comes back after a full-jitter backoff.

        Or when the model asks for it, and if that is past the deadline it fails at once.
        """
        left = _seconds_until(claim.deadline_at) - MIN_MODEL_SECONDS
        if left <= (retry_after or 0.0):
            explanation = f"The model could not be asked again before the deadline. {why}"
            return self._fail(claim, Reason.DEADLINE, explanation)
        seconds = min(max(_backoff(claim.attempt), retry_after or 0.0), left)
        delay = max(1, int(seconds))
        if not self._store.requeue(claim, failed=failed):
            return True
        self._metrics.record_requeue(claim)
        self._queue.change_visibility(message.receipt_handle, delay)
        telemetry.logger().warning(
            "handed back", extra={"why": why, "attempt": claim.attempt, "retry_in": delay}
        )
        return False

    def _fail(
        self, claim: "Claim", reason: Reason, explanation: str, answer: Completion | None = None
    ) -> bool:
        stored = self._outbox.fail(claim, reason, explanation, answer)
        self._log_end(claim, stored=stored, status=Status.FAILED, reason=reason)
        return True

    def _log_end(
        self,
        claim: "Claim",
        *,
        stored: bool,
        status: Status,
        completion: Completion | None = None,
        reason: Reason | None = None,
    ) -> None:
        facts: dict[str, object] = {
            "status": status,
            "flow": claim.flow,
            "attempt": claim.attempt,
            "seconds": round((clock.now() - claim.created_at).total_seconds(), 3),
        }
        if completion is not None:
            facts |= {
                "model": completion.model,
                "stop_reason": completion.stop_reason,
                "tokens_in": completion.tokens_in,
                "tokens_out": completion.tokens_out,
            }
        if reason is not None:
            facts["reason"] = reason
        sentence = "finished" if stored else "finished too late: another attempt holds it"
        telemetry.logger().info(sentence, extra=facts)


def _backoff(attempt: int) -> float:
    """Return seconds to wait before the next attempt: full jitter under an exponential bound."""
    bound = min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * 2 ** min(attempt - 1, 10))
    return random.uniform(0, bound)  # noqa: S311 - spreads load, guards nothing # nosec B311


def _check_time_for_a_step(claim: "Claim", ends: float) -> None:
    """Raise ModelUnavailableError if another invocation had better do the next step."""
    if _until(claim, ends) - time.monotonic() < MIN_STEP_SECONDS:
        raise ModelUnavailableError("The invocation has no time left for the next step.")


def _until(claim: "Claim", ends: float) -> float:
    """Return when to stop waiting for anybody: both times monotonic."""
    return min(ends - WRITE_SECONDS, time.monotonic() + _seconds_until(claim.deadline_at))


def _seconds_until(moment: "datetime") -> float:
    return (moment - clock.now()).total_seconds()


def _without_model(text: str) -> Completion:
    """Return a text for which no model was asked."""
    return Completion(text=text, model=None, stop_reason=STOP, tokens_in=0, tokens_out=0)


def _all_together(claim: "Claim", answer: Completion) -> Completion:
    """Return the answer with the tokens and the sources of the steps before it."""
    return replace(
        answer,
        tokens_in=answer.tokens_in + sum(result.tokens_in for result in claim.results),
        tokens_out=answer.tokens_out + sum(result.tokens_out for result in claim.results),
        sources=selection.merge_sources(
            source for each in (*claim.results, answer) for source in each.sources
        ),
    )
