"""The vectors of texts: the view of an embedding model, independent of its provider."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from afterword.generations import Reason
from afterword.models import ModelRefusedError

MAX_TEXT = 2_000
"""Characters of a text that are embedded; later ones are ignored."""
LEAST_TEXT = 100
"""A text is halved for a model that refuses it as too long, down to so many characters."""

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

    def embed(self, texts: Sequence[str], purpose: Purpose, timeout: float) -> list[Vector]:
        """Return a vector for each text, in order; one try, no retries.

        Raises ModelUnavailableError, ModelRefusedError or ModelTimedOutError, and no other error
        for any failure of the model or the network.
        """
        ...


def is_usable(vector: object) -> bool:
    """Whether a model's answer is a vector: finite numbers, in whole bytes of signs, not all 0."""
    return (
        isinstance(vector, list)
        and len(vector) % 8 == 0
        and all(isinstance(each, (int, float)) and abs(each) < float("inf") for each in vector)
        and any(vector)
    )


_OF_THE_TEXT = frozenset({Reason.TOO_LONG, Reason.INVALID_REQUEST, Reason.REFUSED_CONTENT})
"""Reasons of a refusal that may lie with one text of several, or with its length."""


class EmbeddedTexts(NamedTuple):
    """The vectors of texts, None for a refused text; `refusal` is the last refusal's cause."""

    vectors: "Sequence[Vector | None]"
    refusal: ModelRefusedError | None


def embed_texts(
    model: EmbeddingModel, texts: Sequence[str], purpose: Purpose, seconds: Callable[[], float]
) -> EmbeddedTexts:
    """Return the vectors of up to `model.batch` texts, each call within `seconds()`.

    A refused call is repeated for each text, and for the first half of a refused one, down to
    LEAST_TEXT characters: how many tokens a text has is for the model to say. Raises like `embed`
    for a refusal that no text can be the cause of.
    """
    cut = [text[:MAX_TEXT] for text in texts]
    try:
        return EmbeddedTexts(model.embed(cut, purpose, seconds()), None)
    except ModelRefusedError as error:
        if error.reason not in _OF_THE_TEXT:
            raise
    each = [_embed_one(model, text, purpose, seconds) for text in cut]
    refusals = [found for found in each if isinstance(found, ModelRefusedError)]
    vectors = [None if isinstance(found, ModelRefusedError) else found for found in each]
    return EmbeddedTexts(vectors, refusals[-1] if refusals else None)


def _embed_one(
    model: EmbeddingModel, text: str, purpose: Purpose, seconds: Callable[[], float]
) -> "Vector | ModelRefusedError":
    while True:
        try:
            return model.embed([text], purpose, seconds())[0]
        except ModelRefusedError as error:
            if error.reason not in _OF_THE_TEXT:
                raise
            text = text[: len(text) // 2]
            if len(text) < LEAST_TEXT:
                return error
