"""The words of texts, folded for ranking and citations."""

import unicodedata

import pytest

from afterword.knowledge import words
from tests.harness import seeds

CHARACTERS = (
    "aZ09 \u00e9\u00c9\u0301\u0323\u0327\u0345\u0130\u0131\u00df\ufb01\u1e9b\u0323"
    "\u1100\u1161\u11a8\uac00"
    "\u3042\u304c\u0bcb\u2126\u212b\u03c2\u03a3\u01c5\u00bd\uff21\u1d15e\u0f71\u0f72"
)


def fold_as_a_whole(text: str) -> str:
    """Return a folded text by the normalization of the whole of it."""
    parted = unicodedata.normalize("NFKD", text).casefold()
    kept = "".join(each for each in parted if not words._is_accent(each))  # noqa: SLF001 - the same
    return unicodedata.normalize("NFKC", kept).translate(words._LIGATURES)  # noqa: SLF001 - the same


@pytest.mark.parametrize("seed", seeds.SEED_PARAMS)
def test_a_text_folds_as_a_whole_does(seed: int) -> None:
    """Folding character by character gives what the normalization of a whole text gives."""
    chance = seeds.seeded(seed)
    for _ in range(500):
        text = "".join(chance.choices(CHARACTERS, k=chance.randrange(1, 12)))
        assert words.fold(text) == fold_as_a_whole(text), ascii(text)
