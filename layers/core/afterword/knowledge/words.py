"""The words of texts and questions in the form of lexical ranking: folded, stemmed."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import chain, pairwise

MAX_WORD = 64
"""Characters of a word; later ones are not compared."""


class Language(StrEnum):
    """A language with a stemmer; texts of other languages are stemmed as one of these."""

    ENGLISH = "english"
    FRENCH = "french"


# Han, kana and hangul have no spaces, or have words too long to be found whole.
_CJK = (
    "\u1100-\u11ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_CJK}]++|[^\W_{_CJK}]++")
_IS_CJK = re.compile(f"[{_CJK}]")
_FEMININE = re.compile("ees?$")
_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "đ": "d", "ł": "l", "\u0131": "i"})

STOP_WORDS = {
    Language.ENGLISH: frozenset(
        """
        a about actually after again all also am an and any are as at be because been before being
        but by can cannot could d did didn do does doesn doing don down during each either else ever
        every few for from further get gets getting give given go goes going gonna got had has hasn
        have haven having he hello her here hers hi him his how however i if in instead into is isn
        it its itself just know let like ll m make may maybe me might mine more most much must my
        myself need needs never no nor not now of off on once only or other our ours out over own
        please possible re s same say shall she should shouldn so some somehow someone something
        still such t tell than thank thanks that the their theirs them then there these they thing
        things this those though through to too under until up upon us use used using ve very want
        wants was wasn way we well were weren what when where whether which while who whole whom
        whose why will with within without won would wouldn yet you your yours
        """.split()  # noqa: SIM905 - words are easier to read than a list of strings
    ),
    Language.FRENCH: frozenset(
        """
        a afin ai aie ait alors apres as au aucun aucune aujourd aussi autre autres aux avait avant
        avec avez avoir avons ayant bien bonjour c ca car ce ceci cela celle celles celui ces cet
        cette ceux chaque chez ci combien comme comment d dans de depuis des dois doit doivent donc
        dont du elle elles en encore entre es est et etait etaient etant ete etes etre eu eux faire
        fait faites faut fois font hui ici il ils j je jusqu jusque l la laquelle le lequel les
        lesquels leur leurs lors lorsqu lorsque lui m ma mais me meme memes merci mes moi moins mon
        n ne ni nos notre nous on ont ou par parce pas pendant peu peut peuvent peux plus plutot
        pour pourquoi pourrait pouvez pouvoir puis puisque qu quand que quel quelle quelles quelqu
        quelque quelques quels qui quoi s sa sans se sera ses si sinon soit son sont souhaite
        souhaiterais sous suis sur svp t ta tandis te tel telle tels tes toi ton tous tout toute
        toutes tres tu un une va vais vers veut veux voici voila voudrais vos votre vous y
        """.split()  # noqa: SIM905 - words are easier to read than a list of strings
    ),
}
"""Folded words that tell nothing of a question's subject."""


def fold(text: str) -> str:
    """Return the text without case, accents and ligatures."""
    if text.isascii():
        return text.lower()
    # Character by character: the normalization of a whole text sorts its marks, in quadratic time.
    folded = {ord(each): _fold_character(each) for each in set(text)}
    return unicodedata.normalize("NFKC", text.translate(folded)).translate(_LIGATURES)


def _fold_character(character: str) -> str:
    parted = unicodedata.normalize("NFKD", character).casefold()
    return "".join(each for each in parted if unicodedata.category(each)[0] != "M")


def split_words(text: str) -> list[str]:
    """Return the folded words of a text in order; pairs of characters for Han, kana, hangul."""
    matches = _WORD.findall(fold(text))
    if text.isascii():
        return [word[:MAX_WORD] for word in matches]
    return [each for word in matches for each in _pairs(word)]


def _pairs(word: str) -> Iterable[str]:
    if _IS_CJK.match(word) is None:
        return (word[:MAX_WORD],)
    return (word,) if len(word) == 1 else map("".join, pairwise(word))


def detect_language(split: Sequence[str]) -> Language | None:
    """Return the language of words, by the stop words among them; None for a tie."""
    english, french = (
        sum(map(STOP_WORDS[each].__contains__, split))
        for each in (Language.ENGLISH, Language.FRENCH)
    )
    if english == french:
        return None
    return Language.ENGLISH if english > french else Language.FRENCH


def stem_words(split: Sequence[str], tongue: Language) -> list[str]:
    """Return the stem of each word."""
    if tongue is Language.FRENCH:
        # The stemmer knows -ée and -ées by their accents, which folding has removed.
        split = [_FEMININE.sub("e", word) for word in split]
    from Stemmer import Stemmer  # type: ignore[import-not-found] # a C extension, for ranking alone

    # A stemmer has state, so each call makes its own.
    stemmed: list[str] = Stemmer(tongue.value).stemWords(split)
    return stemmed


def index_terms(texts: Sequence[str]) -> list[list[str]]:
    """Return the stems of each text's words, in the language of all texts together."""
    split = [split_words(text) for text in texts]
    tongue = detect_language([*chain.from_iterable(split)]) or Language.ENGLISH
    return [stem_words(each, tongue) for each in split]


def drop_stop_words(split: Sequence[str]) -> Sequence[str]:
    """Return a question's words without stop words, unless it has no other words."""
    tongue = detect_language(split)
    return [word for word in split if tongue is None or word not in STOP_WORDS[tongue]] or split


def question_terms(question: str) -> list[tuple[str, ...]]:
    """Return the stems of each word of a question in every language, each word once.

    A question may be too short to tell its language, or in another one than the passages.
    """
    split = drop_stop_words(split_words(question))
    stemmed = zip(*(stem_words(split, each) for each in Language), strict=True)
    return list(dict.fromkeys(tuple(dict.fromkeys(each)) for each in stemmed))
