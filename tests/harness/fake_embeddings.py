"""A stand-in for an embedding model, which knows the meanings of a few words."""

from collections.abc import Sequence

from afterword.generations import Reason
from afterword.models import ModelError, ModelRefusedError
from afterword.models.embeddings import Purpose, Vector

MEANINGS = (
    ("refund", "money", "repay", "reimbursed"),
    ("parcel", "delivery", "ship", "package"),
    ("open", "hours", "closed", "weekend"),
    ("tea", "kettle", "brew", "infusion"),
)
"""Words of one meaning; each meaning is a dimension of a vector."""
POISON = "unspeakable"
"""A text with this word is refused."""


class FakeEmbeddings:
    """Embeds texts by MEANINGS, and keeps what it was asked.

    Raises `error` where there is one, after `fails_after` calls, and refuses texts longer than
    `longest` with `refusal`.
    """

    batch = 4
    floor = 0.5

    def __init__(
        self,
        name: str = "fake",
        error: ModelError | None = None,
        fails_after: int = 0,
        longest: int = 100_000,
        refusal: Reason = Reason.INVALID_REQUEST,
    ) -> None:
        self.name = name
        self.error = error
        self.fails_after = fails_after
        self.longest = longest
        self.refusal = refusal
        self.calls: list[tuple[Purpose, Sequence[str]]] = []

    def embed(self, texts: Sequence[str], purpose: Purpose, timeout: float) -> list[Vector]:
        """Return a vector for each text; see EmbeddingModel.embed."""
        assert timeout > 0
        assert len(texts) <= self.batch
        self.calls.append((purpose, texts))
        if self.error is not None and len(self.calls) > self.fails_after:
            raise self.error
        if any(POISON in text for text in texts):
            raise ModelRefusedError(Reason.REFUSED_CONTENT, "The content was refused.")
        if any(len(text) > self.longest for text in texts):
            raise ModelRefusedError(self.refusal, "The endpoint answered 400.")
        return [_vector(text) for text in texts]

    @property
    def embedded(self) -> list[str]:
        """The texts of all calls."""
        return [text for _, texts in self.calls for text in texts]


def _vector(text: str) -> Vector:
    words = text.lower()
    known = [float(sum(words.count(word) for word in meaning)) for meaning in MEANINGS]
    return [*known, 0.1, 0.0, 0.0, 0.0]
