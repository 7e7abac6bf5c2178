"""A stand-in for a model, for tests of what stands around one; the real ones are in tests/models/.

The class follows afterword.models.Model, which mypy checks where it is given to a Worker.
"""

from collections.abc import Callable, Collection

from afterword.generations import Completion
from afterword.models import STOP, Prompt

type Answer = Callable[[Prompt], Completion]


class FakeModel:
    """Answers every prompt in the same way and keeps what it was asked."""

    documents: Collection[str] = ()

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.prompts: list[Prompt] = []
        self.timeouts: list[float] = []

    def generate(self, prompt: Prompt, timeout: float) -> Completion:
        """Return or raise what it was made with; see Model.generate."""
        self.prompts.append(prompt)
        self.timeouts.append(timeout)
        return self._answer(prompt)

    def describe_adaptations(self, _model: str) -> tuple[str, ...]:
        """Return nothing: the model refuses no part of a request."""
        return ()


def completion(text: str, stop_reason: str = STOP) -> Completion:
    """Return a completion of the model `test-model`."""
    return Completion(
        text=text, model="test-model", stop_reason=stop_reason, tokens_in=120, tokens_out=40
    )


def saying(text: str, stop_reason: str = STOP) -> FakeModel:
    """Return a model that always gives this text."""
    return FakeModel(lambda _: completion(text, stop_reason))


def raising(error: Exception) -> FakeModel:
    """Return a model that always raises this."""

    def answer(_: Prompt) -> Completion:
        raise error

    return FakeModel(answer)
