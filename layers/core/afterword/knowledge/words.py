"""The words of texts in the form of lexical ranking: folded, stemmed in the text's language.

docs/decisions/0018-ranking.md and 0076-languages-of-ranking.md say why.
"""

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import cache, lru_cache
from itertools import chain
from typing import TYPE_CHECKING

from afterword.knowledge import stop_words
from afterword.knowledge.stop_words import Language

if TYPE_CHECKING:
    from Stemmer import Stemmer  # type: ignore[import-not-found]

MAX_WORD = 64
"""Characters of a word; later ones are not compared."""
MIN_STOP_WORDS = 2
MIN_STOP_WORD_SHARE = 0.04
"""Different stop words that tell a text's language, at least, and their part of all its words.

Fewer stop words, in a table or in Chinese, may be names and units.
"""
MIN_FOREIGN_WORDS = 3
"""Different stop words that tell another language than the likely ones, which have none of them.

Nearly every short word is a stop word somewhere: of "Van rental price per day" two are Catalan.
"""

HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
KATAKANA = "\u30a1-\u30fa\u30fc-\u30ff"
HANGUL = "\u1100-\u11ff\uac00-\ud7af"
THAI = "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u1000-\u103f\u1780-\u17d3"
"""Characters of scripts, for regular expressions; THAI is Lao, Burmese and Khmer, too."""
_CJK = f"{HAN}\u3041-\u309f{KATAKANA}{HANGUL}"
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc"
    "\u0900-\u0963\u0971-\u0dff"  # the scripts of India, whose vowels are marks
)
_WORD = re.compile(rf"[{_CJK}]++|[{THAI}]++|(?:[^\W_{_CJK}{THAI}]++[{_MARKS}]*+)++")
_UNSPACED = re.compile(f"[{_CJK}{THAI}]")
_IS_THAI = re.compile(f"[{THAI}]")
_ALONE = re.compile(f"[{HAN}]|(?<![{HANGUL}])[{HANGUL}]")
_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "đ": "d", "ł": "l", "\u0131": "i"})

_ENDINGS = {
    Language.FRENCH: ((re.compile("ees?$"), "e"),),
    Language.SPANISH: ((re.compile("([cs])ion$"), "\\1i\u00f3n"),),
    Language.PORTUGUESE: (
        (re.compile("cao$"), "\u00e7\u00e3o"),
        (re.compile("coes$"), "\u00e7\u00f5es"),
    ),
}
"""Endings that a stemmer knows by their accents, which folding has removed."""
_STEMMING = threading.Lock()


def fold(text: str) -> str:
    """Return the text without case, accents and ligatures."""
    if text.isascii():
        return text.lower()
    # Character by character: the normalization of a whole text sorts its marks, in quadratic time.
    folded = {ord(each): _fold_character(each) for each in set(text)}
    return unicodedata.normalize("NFKC", text.translate(folded)).translate(_LIGATURES)


@lru_cache(maxsize=8_192)
def _fold_character(character: str) -> str:
    parted = unicodedata.normalize("NFKD", character).casefold()
    return "".join(each for each in parted if not _is_accent(each))


def _is_accent(character: str) -> bool:
    """Tell whether a character is a mark that words are compared without.

    Vowels of Indian scripts and of Thai are marks and no accents, and so is the voice of kana. All
    marks that are kept have one class, so that normalization has none to sort.
    """
    if character in "\u3099\u309a" or unicodedata.category(character)[0] != "M":
        return False
    is_vowel = "\u0900" <= character <= "\u0eff" or "\u1000" <= character <= "\u17ff"
    return not is_vowel or unicodedata.combining(character) != 0


def split_words(text: str) -> list[str]:
    """Return the folded words of a text in order, cut to MAX_WORD; see split_run for runs."""
    matches = _WORD.findall(fold(text))
    if text.isascii():
        return [word[:MAX_WORD] for word in matches]
    return [each for word in matches for each in split_run(word)]


def split_run(run: str) -> Iterable[str]:
    """Return the parts of a run of characters: a word, or for scripts without spaces its pairs.

    Hangul has spaces, and words with endings; its pairs are better than its words. Thai's letters
    are few, so that its triples tell as much as pairs of Han.
    """
    if _UNSPACED.match(run) is None:
        return (run[:MAX_WORD],)
    length = 3 if _IS_THAI.match(run) else 2
    return (run[at : at + length] for at in range(max(1, len(run) - length + 1)))


def split_forms(text: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Return a text's folded words, each with its form before folding, and its unspaced runs."""
    pairs: list[tuple[str, str]] = []
    runs: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).lower()):
        parts = _WORD.findall(fold(word))
        if _UNSPACED.match(word):
            runs += parts
        elif len(parts) == 1:
            pairs.append((parts[0][:MAX_WORD], word[:MAX_WORD]))
        else:
            pairs += [(part[:MAX_WORD], part[:MAX_WORD]) for part in parts]
    return pairs, runs


def detect_language(split: Iterable[str]) -> Language | None:
    """Return the language of a text's words, by the stop words among them; None if in doubt."""
    different = frozenset(split)
    best = choose_languages(different)
    if len(best) != 1:
        return None
    found = len(different & stop_words.load(best[0]))
    enough = max(MIN_STOP_WORDS, MIN_STOP_WORD_SHARE * len(different))
    return best[0] if found >= enough else None


def choose_languages(
    split: Iterable[str], likely: Collection[Language] = frozenset()
) -> list[Language]:
    """Return the language of few words; several for a tie, none without stop words.

    Each stop word has one vote, shared by the languages that have the word. The votes of likely
    languages count twice; another language needs MIN_FOREIGN_WORDS.
    """
    languages = stop_words.load_votes()
    found = languages.keys() & split
    foreign = found.difference(*map(stop_words.load, likely))
    votes: Counter[Language] = Counter()
    for word in found:
        voted = languages[word]
        for language in voted:
            votes[language] += (2 if language in likely else 1) / len(voted)  # type: ignore[assignment]
    told = {
        language: each
        for language, each in votes.items()
        if not likely
        or language in likely
        or len(foreign & stop_words.load(language)) >= MIN_FOREIGN_WORDS
    }
    most = max(told.values(), default=0)
    return [language for language, each in told.items() if each > most - 1e-9]


def stem_words(split: Sequence[str], tongue: Language) -> list[str]:
    """Return the stem of each folded word."""
    endings = _ENDINGS.get(tongue)
    if endings is None:
        return _stem(split, tongue)
    for ending, accented in endings:
        split = [ending.sub(accented, word) for word in split]
    return _fold_all(_stem(split, tongue))


def stem_unfolded(some: Sequence[str], tongue: Language) -> list[str]:
    """Return the folded stem of each word that has its accents."""
    return _fold_all(_stem(some, tongue))


def _stem(some: Sequence[str], tongue: Language) -> list[str]:
    with _STEMMING:  # a stemmer has state: the stems of its last 10,000 words
        stemmed: list[str] = _build_stemmer(tongue).stemWords(some)
    return stemmed


@cache
def _build_stemmer(tongue: Language) -> "Stemmer":
    from Stemmer import Stemmer  # a C extension, for ranking alone

    return Stemmer(tongue.value)


def _fold_all(some: Sequence[str]) -> list[str]:
    return fold("\n".join(some)).split("\n") if some else []


def index_terms(
    texts: Sequence[str], tongue: Language | None = None, likely: Language = Language.ENGLISH
) -> tuple[Language, list[list[str]]]:
    """Return the language of all texts together, and the terms of each.

    The language is `tongue`, if given, else as the stop words tell, else the `likely` one. Terms
    are the stems of folded words; of words with accents, if different; and single characters of
    Han, and the first of Korean words.
    """
    split = [split_words(text) for text in texts]
    tongue = tongue or detect_language(chain.from_iterable(split)) or likely
    return tongue, [
        [*stem_words(words, tongue), *_find_other_terms(text, tongue)]
        for text, words in zip(texts, split, strict=True)
    ]


def _find_other_terms(text: str, tongue: Language) -> list[str]:
    """Return a text's terms beside the stems of its folded words."""
    if text.isascii():
        return []
    lower = unicodedata.normalize("NFKC", text).lower()
    alone = _ALONE.findall(lower)
    if tongue is Language.ENGLISH:
        return alone
    accented = [
        word[:MAX_WORD]
        for word in _WORD.findall(lower)
        if not (word.isascii() or _UNSPACED.match(word))
    ]
    stems = zip(
        stem_unfolded(accented, tongue), stem_words(_fold_all(accented), tongue), strict=True
    )
    return [*alone, *(stem for stem, folded in stems if stem != folded)]


def is_single(term: str) -> bool:
    """Tell whether a term is a single character of Han or hangul."""
    return len(term) == 1 and _ALONE.match(term) is not None
