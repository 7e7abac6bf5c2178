"""Any endpoint that speaks OpenAI's chat completions API: OpenAI, vLLM, Ollama, llama.cpp."""

import time
from typing import TYPE_CHECKING

from afterword.generations import Completion
from afterword.models import Prompt
from afterword.models.adaptations import Adaptation, Adaptations
from afterword.models.failures import build_failure
from afterword.models.openai_answer import (
    ANSWERED,
    find_error,
    parse_body,
    read_answer,
    read_spent,
)
from afterword.models.openai_endpoint import OpenAIEndpoint
from afterword.models.openai_request import (
    build_request,
    find_adaptations,
    guess_adaptation,
    lasting,
)
from afterword.models.prompts import ready_prompt
from afterword.models.reasons import Cause, find_cause
from afterword.runtime.retry_after import read_retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from afterword.models.error_detail import ErrorDetail

MAX_REQUESTS = 7
"""The most requests of one call: the first, and one after each part that a model can refuse."""


class OpenAIModel:
    """A model behind an OpenAI-compatible endpoint.

    - `base_url` includes the version (`https://…/v1`).
    - `api_key` returns the key before each call, None for an endpoint without keys.
    - No documents, since only OpenAI's own endpoint takes them: their text goes into the prompt.
    - A part of requests that a model refuses is left out from then on, for the life of this object.
    """

    documents: tuple[str, ...] = ()

    def __init__(self, base_url: str, api_key: "Callable[[], str | None]", pool_size: int) -> None:
        self._endpoint = OpenAIEndpoint(
            "model endpoint", base_url, "chat/completions", api_key, pool_size
        )
        self._adaptations = Adaptations()

    def generate(self, prompt: Prompt, timeout: float) -> Completion:
        """Return the completion; see Model.generate.

        A request with a part that the model refuses is sent again without it, within the same time.
        With an answer, the model's refusals are remembered. Where guesses at a refused part were
        all in vain, the error is the one before them.
        """
        deadline = time.monotonic() + timeout
        prompt = ready_prompt(prompt)
        adapted = self._adaptations.of(prompt.model)
        learned: frozenset[Adaptation] = frozenset()
        unnamed: ErrorDetail | None = None
        while True:  # each request leaves another part out: MAX_REQUESTS at most
            status, headers, content = self._endpoint.post(build_request(prompt, adapted), deadline)
            body = parse_body(content)
            detail = find_error(body, status)
            if detail is None:
                break
            found = find_adaptations(detail, prompt, adapted)
            if not found:
                found = guess_adaptation(detail, prompt, adapted)
                unnamed = unnamed or (detail if found else None)
            if not found:
                if unnamed and find_cause(detail) is Cause.INVALID_REQUEST:
                    detail = unnamed
                spent = read_spent(body, prompt)
                raise build_failure(ANSWERED, detail, read_retry_after(headers), spent)
            adapted |= found
            learned |= lasting(detail, found)
        self._adaptations.learn(prompt.model, learned)
        reasons_first = Adaptation.REASONS_FIRST in adapted
        answer = read_answer(body, prompt, reasons_first=reasons_first)
        self._adaptations.learn_order(prompt.model, reasons_first=answer.reasons_first)
        return answer.completion

    def describe_adaptations(self, model: str) -> "Sequence[str]":
        """Return the adaptations to a model; see Model.describe_adaptations."""
        return self._adaptations.describe(model)
