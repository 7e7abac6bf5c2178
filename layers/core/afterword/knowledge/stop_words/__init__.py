"""Words that tell nothing of a question's subject, by language: a file each, read when needed.

The lists are Snowball's and spaCy's, with our own of the words of questions; LICENSE.txt has their
notices. Their words are folded, as words are compared.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent


class Language(StrEnum):
    """A language with a stemmer, by Snowball's name; texts of others are stemmed as English."""

    ARABIC = "arabic"
    ARMENIAN = "armenian"
    BASQUE = "basque"
    CATALAN = "catalan"
    CZECH = "czech"
    DANISH = "danish"
    DUTCH = "dutch"
    ENGLISH = "english"
    ESPERANTO = "esperanto"
    ESTONIAN = "estonian"
    FINNISH = "finnish"
    FRENCH = "french"
    GERMAN = "german"
    GREEK = "greek"
    HINDI = "hindi"
    HUNGARIAN = "hungarian"
    INDONESIAN = "indonesian"
    IRISH = "irish"
    ITALIAN = "italian"
    LITHUANIAN = "lithuanian"
    NEPALI = "nepali"
    NORWEGIAN = "norwegian"
    PERSIAN = "persian"
    POLISH = "polish"
    PORTUGUESE = "portuguese"
    ROMANIAN = "romanian"
    RUSSIAN = "russian"
    SERBIAN = "serbian"
    SESOTHO = "sesotho"
    SPANISH = "spanish"
    SWEDISH = "swedish"
    TAMIL = "tamil"
    TURKISH = "turkish"
    YIDDISH = "yiddish"


class Unspaced(StrEnum):
    """A language whose words stand together; its list has strings that are cut out of questions."""

    CHINESE = "chinese"
    JAPANESE = "japanese"
    KOREAN = "korean"
    THAI = "thai"


@cache
def load(language: Language | Unspaced) -> frozenset[str]:
    """Return a language's stop words."""
    lines = (_FOLDER / f"{language}.txt").read_text("utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


@cache
def load_votes() -> Mapping[str, tuple[Language, ...]]:
    """Return the languages of each stop word of all."""
    votes: dict[str, tuple[Language, ...]] = {}
    for language in Language:
        for word in load(language):
            votes[word] = (*votes.get(word, ()), language)
    return votes


@cache
def load_cuts(language: Unspaced) -> re.Pattern[str]:
    """Return the pattern of a language's stop words in text without spaces, the longest first."""
    return re.compile("|".join(sorted(load(language), key=lambda each: (-len(each), each))))
