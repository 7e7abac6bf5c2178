"""The repair question: a model is told once what is wrong with a structured answer.

docs/decisions/0071-structured-answers.md
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword.models import SEE_FILES, ChatTurn, Prompt
from afterword.runtime import telemetry

if TYPE_CHECKING:
    from afterword.flows.json_values import UnusableError
    from afterword.generations import Completion
    from afterword.generations.claims import Claim
    from afterword.limits.quotas import Quotas
    from afterword.runtime.deadline import Deadline
    from afterword.tenants.rules import TenantRules

MAX_REPAIRED = 20_000
"""Characters of an answer that is shown to the model again: some 7,000 tokens."""
MIN_REPAIR_SECONDS = 5.0
"""The least time for a repair question. The time of the answer before it is needed as well."""
_ASK_AGAIN = (
    "The answer cannot be used. {complaint} Answer the question again: with the whole JSON object,"
    " corrected, and with nothing before or after it."
)


class Repairs:
    """Decides whether a repair question is worth its price."""

    def __init__(self, rules: "TenantRules", quotas: "Quotas") -> None:
        self._rules = rules
        self._quotas = quotas

    def build_question(
        self,
        claim: "Claim",
        prompt: Prompt,
        answer: "Completion",
        error: "UnusableError",
        deadline: "Deadline",
    ) -> Prompt | None:
        """Return the repair question about an answer.

        None after another one of the attempt, for a long answer, with too little time, and for a
        tenant whose tokens are used up.
        """
        asked = any(call.repairs for call in claim.calls)
        if asked or len(answer.text) > MAX_REPAIRED:
            return None
        if deadline.remaining() < _seconds_of_repair(claim) or self._is_used_up(claim):
            return None
        return build_repair(prompt, answer.text, error.complaint)

    def _is_used_up(self, claim: "Claim") -> bool:
        """Whether the tenant's tokens of the month are used up, those of the claim included."""
        try:
            limit = self._rules.get(claim.tenant).limits.tokens_per_month
            if limit is None:
                return False
            used = self._quotas.get_status(claim.tenant).tokens
        except (BotoCoreError, ClientError) as error:
            why = type(error).__name__
            telemetry.logger().warning("could not read the tokens", extra={"why": why})
            return True
        return used + _tokens_of(claim) >= limit


def build_repair(prompt: Prompt, answer: str, complaint: str) -> Prompt:
    """Return the prompt with the answer as an earlier turn, and the complaint as the question.

    A blank answer is no turn: the complaint goes behind the question. Nor is a blank question, of
    files alone.
    """
    again = _ASK_AGAIN.format(complaint=complaint)
    if not answer.strip():
        return replace(prompt, user=f"{prompt.user}\n\n{again}")
    asked = prompt.user if prompt.user.strip() else SEE_FILES
    turn = ChatTurn(question=asked, answer=answer)
    return replace(prompt, turns=(*prompt.turns, turn), user=again)


def merge_repaired(answer: "Completion", repaired: "Completion") -> "Completion":
    """Return the second answer with the tokens of both."""
    return replace(
        repaired,
        tokens_in=answer.tokens_in + repaired.tokens_in,
        tokens_out=answer.tokens_out + repaired.tokens_out,
        estimated=answer.estimated or repaired.estimated,
        answers=answer.answers + repaired.answers,
    )


def _seconds_of_repair(claim: "Claim") -> float:
    call = claim.calls[-1]
    took = 0.0 if call.until is None else (call.until - call.since).total_seconds()
    return max(MIN_REPAIR_SECONDS, took)


def _tokens_of(claim: "Claim") -> int:
    """Return the tokens of a claim that no quota has counted yet."""
    finished = sum(result.tokens_in + result.tokens_out for result in claim.results)
    last = claim.calls[-1].answer
    return finished + (0 if last is None else last.tokens_in + last.tokens_out)
