"""The words of a question by which passages are found, without those that tell nothing."""

import re
from collections.abc import Iterable, Sequence

from afterword.knowledge import stop_words, words
from afterword.knowledge.stop_words import Language, Unspaced

_IS_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]")
_IS_HANGUL = re.compile(f"[{words.HANGUL}]")
_IS_THAI = re.compile(f"[{words.THAI}]")
_SCRIPT = re.compile(f"(?P<han>[{words.HAN}]++)|(?P<katakana>[{words.KATAKANA}]++)")
_PARTICLES = {
    language: re.compile(rf"\s({'|'.join(particles.split())})\s*+(?:[.,;:!?]|$)")
    for language, particles in {
        Language.GERMAN: "ab an auf aus bei ein fest frei heraus herunter hinzu los mit nach um vor"
        " weg wieder zu zuruck zusammen",
        Language.DUTCH: "aan af bij in mee na om op samen terug toe uit vast weg",
    }.items()
}
"""Particles, folded, that German and Dutch part from their verbs: "Wie richte ich es ein?"."""

MAX_LANGUAGES = 6
"""Languages in which a question's words are stemmed: those of most passages, and its own."""

type Forms = tuple[str, ...]
"""A word as passages may have it: stems in several languages.

A form with blanks is several terms, which stand together.
"""


def question_terms(question: str, tongues: Sequence[Language]) -> list[Forms]:
    """Return a question's telling words, each once; of a question of stop words alone, all.

    `tongues` are the languages of the passages, those of most first: a question may be too short to
    tell its own, or in another one.
    """
    pairs, runs = words.split_forms(question)
    spoken = words.choose_languages((word for word, _ in pairs), tongues)
    dropped = frozenset[str]().union(*map(stop_words.load, spoken))
    particle = _find_particle(question, spoken)
    telling = [pair for pair in pairs if pair[0] not in dropped and pair[0] != particle]
    terms = _cut_runs(runs)
    if not telling and not terms:
        telling, terms = pairs, [each for run in runs for each in words.split_run(run)]
    every = list(dict.fromkeys([*(spoken if len(spoken) == 1 else ()), *tongues[:MAX_LANGUAGES]]))
    stems = _stem_in_all(telling, every or [Language.ENGLISH], particle)
    return list(dict.fromkeys([*stems, *((term,) for term in terms)]))


def _find_particle(question: str, spoken: Sequence[Language]) -> str:
    """Return the particle that ends a clause of the question; empty without one."""
    pattern = _PARTICLES.get(spoken[0]) if len(spoken) == 1 else None
    found = pattern.search(words.fold(question)) if pattern else None
    return found[1] if found else ""


def _stem_in_all(
    pairs: Sequence[tuple[str, str]], tongues: Sequence[Language], particle: str
) -> Iterable[Forms]:
    """Return the stems of each word, folded and not, in each language.

    Any of the words may be the verb of the particle.
    """
    folded = [word for word, _ in pairs]
    unfolded = [word for _, word in pairs]
    stems = [
        each
        for tongue in tongues
        for each in (words.stem_words(folded, tongue), words.stem_unfolded(unfolded, tongue))
    ]
    if particle:
        stems.append(words.stem_words([f"{particle}{word}" for word in folded], tongues[0]))
    forms = (tuple(dict.fromkeys(filter(None, each))) for each in zip(*stems, strict=True))
    return filter(None, forms)


def _cut_runs(runs: Sequence[str]) -> list[str]:
    """Return the telling terms of runs of characters without spaces.

    Hiragana is endings and particles of Japanese, and tells nothing.
    """
    han = Unspaced.JAPANESE if any(map(_IS_KANA.search, runs)) else Unspaced.CHINESE
    terms: list[str] = []
    for run in runs:
        if _IS_THAI.match(run):
            for part in filter(None, stop_words.load_cuts(Unspaced.THAI).split(run)):
                terms += words.split_run(part)
        elif _IS_HANGUL.search(run):
            if word := _cut_endings(run):
                terms += words.split_run(word)
        else:
            for part in stop_words.load_cuts(han).split(run):
                terms += _split_scripts(part)
    return terms


def _cut_endings(word: str) -> str:
    """Return a Korean word without its endings; empty for a stop word."""
    known = stop_words.load(Unspaced.KOREAN)
    word = word[: words.MAX_WORD]
    while word not in known:
        # A word of two syllables may be without an ending, and end like one.
        at = next(
            (at for at in range(1, len(word)) if word[at:] in known and len(word) > max(2, at - 1)),
            None,
        )
        if at is None:
            return word
        word = word[:at]
    return ""


def _split_scripts(part: str) -> Iterable[str]:
    """Return the pairs of Han, Han characters that stand alone, and words of katakana as one."""
    for run in _SCRIPT.finditer(part):
        if run["han"]:
            yield from words.split_run(run["han"])
        else:
            word = run["katakana"][: words.MAX_WORD]
            shorter = word.rstrip("\u30fc")  # some write a long last vowel, others do not
            yield " ".join(words.split_run(shorter if len(shorter) > 1 else word))
