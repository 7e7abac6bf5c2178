"""The vectors of texts: the view of an embedding model, independent of its provider."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from afterword.generations import Reason
from afterword.models import ModelError, ModelRefusedError

MAX_TEXT = 2_000
"""Characters of a text that are embedded; later ones are ignored."""
LEAST_TEXT = 100
"""A text is halved for a model that refuses it as too long, down to so many characters."""

SMALLEST, LARGEST = 1e-30, 1e30
"""Bounds of a vector's largest number, within which each has room in 32 bits."""

type Vector = Sequence[float]


class Purpose(StrEnum):
    """The use of a vector: some models embed a question in another way than its answers."""

    PASSAGE = "passage"
    QUESTION = "question"


class EmbeddingModel(Protocol):
    """A model that turns texts into vectors; safe to use from several threads at once."""

    @property
    def name(self) -> str:
        """The model, with what makes its vectors others: those of two names are not compared."""
        ...

    @property
    def batch(self) -> int:
        """The texts that a call of `embed` takes, at most."""
        ...

    @property
    def floor(self) -> float:
        """The least cosine of a question and a passage that answers it."""
        ...

    def embed(
        self, texts: Sequence[str], purpose: Purpose, timeout: float
    ) -> Sequence[Vector | ModelError]:
        """Return a vector for each text, in order; one try, no retries.

        A model that takes one text a call returns the error of a failed call instead. Raises
        ModelUnavailableError, ModelRefusedError or ModelTimedOutError, and no other error for any
        failure of the model or the network.
        """
        ...


def is_usable(vector: object) -> bool:
    """Whether a model's answer is a vector: numbers, the largest from SMALLEST to LARGEST."""
    return (
        isinstance(vector, list)
        and all(isinstance(each, (int, float)) and abs(each) <= LARGEST for each in vector)
        and max(map(abs, vector), default=0) >= SMALLEST
    )


_OF_THE_TEXT = frozenset({Reason.TOO_LONG, Reason.INVALID_REQUEST, Reason.REFUSED_CONTENT})
"""Reasons of a refusal that may lie with one text of several, or with its length."""


def is_of_the_text(error: ModelError) -> bool:
    """Whether a text may be the cause of an error, so that other texts may have none."""
    return isinstance(error, ModelRefusedError) and error.reason in _OF_THE_TEXT


class EmbeddedTexts(NamedTuple):
    """The vectors of texts, None for a text without one.

    - `refusal` is the cause of the last refusal of a text.
    - `failure` is the error after which the other texts were left, None without one.
    - `finished` is false if texts were left, for an error or for the end of the time.
    """

    vectors: "Sequence[Vector | None]"
    refusal: ModelRefusedError | None
    failure: ModelError | None = None
    finished: bool = True


def embed_texts(
    model: EmbeddingModel, texts: Sequence[str], purpose: Purpose, seconds: Callable[[], float]
) -> EmbeddedTexts:
    """Return the vectors of up to `model.batch` texts, each call within `seconds()`.

    A refused call is repeated for each text, and for the first half of a refused one, down to
    LEAST_TEXT characters: how many tokens a text has is for the model to say. No call begins once
    `seconds()` is 0. Without any vector, raises like `embed` for an error that no text can be the
    cause of.
    """
    cut = [text[:MAX_TEXT] for text in texts]
    found = _embed_together(model, cut, purpose, seconds())
    failure = _find_failure(found)
    for number, text in enumerate(cut):
        if failure is None and isinstance(found[number], ModelError):
            found[number] = _embed_alone(model, text, purpose, seconds)
            failure = _find_failure(found[number : number + 1])
    vectors = [None if isinstance(each, ModelError) else each for each in found]
    if failure is not None and all(each is None for each in vectors):
        raise failure
    refusals = [each for each in found if isinstance(each, ModelRefusedError)]
    return EmbeddedTexts(
        vectors,
        refusals[-1] if refusals else None,
        failure,
        finished=failure is None and None not in found,
    )


type _Found = Vector | ModelError | None
"""A vector, the error of a text, or None for a text that there was no time for."""


def _find_failure(found: Sequence[_Found]) -> ModelError | None:
    errors = (each for each in found if isinstance(each, ModelError))
    return next((error for error in errors if not is_of_the_text(error)), None)


def _embed_together(
    model: EmbeddingModel, texts: Sequence[str], purpose: Purpose, seconds: float
) -> list[_Found]:
    """Embed texts in one call; each has the refusal of a call that a text may be the cause of."""
    if seconds <= 0:
        return [None for _ in texts]
    try:
        return [*model.embed(texts, purpose, seconds)]
    except ModelRefusedError as error:
        if not is_of_the_text(error):
            raise
        return [error for _ in texts]


def _embed_alone(
    model: EmbeddingModel, text: str, purpose: Purpose, seconds: Callable[[], float]
) -> _Found:
    while True:
        left = seconds()
        if left <= 0:
            return None
        try:
            return model.embed([text], purpose, left)[0]
        except ModelError as error:
            text = text[: len(text) // 2]
            if len(text) < LEAST_TEXT or not is_of_the_text(error):
                return error
