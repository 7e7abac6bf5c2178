"""The parts of requests that a model has refused, which a process leaves out from then on."""

import threading
from collections import OrderedDict
from collections.abc import Collection
from enum import StrEnum

MAX_MODELS = 256
"""The models that a process remembers; the one that was asked for longest ago is forgotten."""


class Adaptation(StrEnum):
    """A change of a model's requests, with the sentence that describes it."""

    RENAMED_LIMIT = "max_tokens is sent as max_completion_tokens"
    NO_TEMPERATURE = "temperature is left out: the model refuses it"
    NO_LOGPROBS = "logprobs are left out: a confidence is the model's own word then"
    JSON_OBJECT = "a schema is asked for by json_object and in words: json_schema is refused"
    JSON_BY_PROMPT = "a schema is asked for in words alone: response_format is refused"
    NO_SYSTEM = "instructions go before the question: a system message is refused"
    ANY_TOOL = "a schema is asked for by any tool: a forced tool is refused"
    TOOL_BY_CHOICE = "a schema is offered as a tool: a tool choice is refused"
    REASONS_FIRST = "its text begins with its reasoning: one that is cut before </think> is no text"
    NO_TOOL = "a schema is asked for in words alone: tools are refused"
    NO_INFERENCE = "max_tokens and temperature are left out: the model refuses inferenceConfig"


class Adaptations:
    """The adaptations of each model; safe to use from several threads at once."""

    def __init__(self) -> None:
        self._by_model: OrderedDict[str, frozenset[Adaptation]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, model: str) -> frozenset[Adaptation]:
        """Return the adaptations of a model."""
        with self._lock:
            known = self._by_model.get(model, frozenset())
            if known:
                self._by_model.move_to_end(model)
            return known

    def learn(self, model: str, learned: Collection[Adaptation]) -> None:
        """Remember adaptations with which a model has answered."""
        if not learned:
            return
        with self._lock:
            self._by_model[model] = self._by_model.get(model, frozenset()) | frozenset(learned)
            self._by_model.move_to_end(model)
            while len(self._by_model) > MAX_MODELS:
                self._by_model.popitem(last=False)

    def learn_order(self, model: str, *, reasons_first: bool | None) -> None:
        """Remember that a model's texts begin with reasoning, or forget it; None changes nothing.

        One text may be about closing tags: the next finished one without reasoning forgets it.
        """
        if reasons_first:
            self.learn(model, [Adaptation.REASONS_FIRST])
        elif reasons_first is False:
            with self._lock:
                if model in self._by_model:
                    self._by_model[model] -= {Adaptation.REASONS_FIRST}

    def describe(self, model: str) -> tuple[str, ...]:
        """Return a sentence for each adaptation of a model, in the order of Adaptation."""
        known = self.of(model)
        return tuple(str(each) for each in Adaptation if each in known)
