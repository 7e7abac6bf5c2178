"""Ranking passages by their words."""

import re
import sqlite3
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from afterword.knowledge import lexical
from afterword.knowledge.lexical import Index, LexicalRanking, Limits, MemoryIndexes, build_index
from afterword.knowledge.passages import Passage, cut_passages
from afterword.knowledge.ranking import Candidate, Origin, Ranked, Selection, SelectionTooLargeError
from afterword.knowledge.words import fold, split_words
from tests.harness.seeds import SEED_PARAMS, seeded

SELECTION = Selection("demo", version="1")

ENGLISH = {
    "returns": "You can return what you bought within thirty days. We refund the price you paid.",
    "delivery": "Orders are shipped by post and arrive three days later.",
    "accounts": "To delete an account, write to the support team. All of its data are erased.",
    "invoices": "Invoices are sent by mail on the first day of each month.",
}
FRENCH = {
    "retours": "Les articles achetés peuvent être renvoyés. Le prix payé est remboursé.",
    "livraison": "Les commandes sont expédiées par la poste et arrivent trois jours après.",
    "comptes": "Pour supprimer un compte, écrivez à l'équipe. Ses données sont effacées.",
    "coeur": "L'œuvre de ce musée naît au cœur de l'été : une journée de fête à Besançon.",
}


def candidate(content: str, text: str, title: str = "", heading: str = "") -> Candidate:
    origin = Origin(content=content, title=title, folder="folder")
    return Candidate(origin, Passage(0, text, heading, 0, len(text)))


def index(texts: dict[str, str]) -> Index:
    return build_index(candidate(content, text) for content, text in texts.items())


def contents(ranked: Iterable[Ranked]) -> list[str]:
    return [each.origin.content for each in ranked]


def best(asked: Index, question: str) -> str | None:
    ranked = asked.rank(question, 3)
    return ranked[0].origin.content if ranked else None


@pytest.fixture(scope="module")
def mixed() -> Index:
    """Return an index of both languages."""
    return index(ENGLISH | FRENCH)


@pytest.mark.parametrize(
    ("question", "content"),
    [
        ("How do I get a refund?", "returns"),
        ("I want my accounts deleted", "accounts"),
        ("When will my order arrive?", "delivery"),
        ("invoice", "invoices"),
        ("Comment ma commande sera-t-elle remboursée ?", "retours"),
        ("Je voudrais renvoyer l'article que j'ai acheté", "retours"),
        ("Quand ma commande a-t-elle été expédiée ?", "livraison"),
        ("la suppression d'un compte", "comptes"),
    ],
)
def test_other_forms_of_a_word_are_found(mixed: Index, question: str, content: str) -> None:
    """A question finds the passage that says the same words in another form, in its language."""
    assert best(mixed, question) == content


@pytest.mark.parametrize(
    "question",
    [
        "cœur",
        "CŒUR",
        "coeur",
        "oeuvre",
        "FETE",
        "fête",
        "fe\u0302te",
        "besancon",
        "BESANÇON",
        "ete",
    ],
)
def test_case_and_accents_do_not_matter(mixed: Index, question: str) -> None:
    """A word is found whatever its case, its accents and its ligatures."""
    assert best(mixed, question) == "coeur"


def test_a_questions_small_words_do_not_count() -> None:
    """The words that every question has draw no passage that is about something else."""
    asked = index({"small": "How do I do it, and what do I do?", "about": "Parking is free."})
    assert contents(asked.rank("How do I do the parking?", 5)) == ["about"]
    asked = index({"petits": "Comment est-ce que je fais pour que ?", "sujet": "Le parking."})
    assert contents(asked.rank("Comment faire pour le parking ?", 5)) == ["sujet"]


def test_a_question_of_small_words_alone_looks_for_them() -> None:
    """A question that has no other words than small ones is not without an answer for that."""
    asked = index({"who": "Who we are and what we do", "tea": "Tea and coffee"})
    assert best(asked, "Who are we?") == "who"


def test_a_name_or_a_heading_counts_more_than_the_text() -> None:
    """A word in a content's name counts more than one in a heading, and that more than the text."""
    texts = ("parking is free", "entry is free", "entry is free")
    asked = build_index(
        [
            candidate("text", texts[0], "Prices", "Visitors"),
            candidate("heading", texts[1], "Prices", "Parking"),
            candidate("title", texts[2] + " too", "Parking", "Visitors"),
            *(candidate(str(number), f"other {number}", "Other", "Other") for number in range(9)),
        ]
    )
    ranked = asked.rank("parking", 5)
    assert contents(ranked) == ["title", "heading", "text"]


def test_the_best_come_first_with_what_a_prompt_needs() -> None:
    """An answer has the best passages first, no more than asked for, with scores that fall."""
    asked = build_index(
        [
            candidate("half", "The tea was good and we stayed long.", "Half", "A"),
            candidate("full", "Green tea and more green tea.", "Full", "B"),
            candidate("none", "Nothing of it.", "None", "C"),
        ]
    )
    first, second = asked.rank("green tea", 5)
    assert (first.origin.content, first.origin.title, first.heading) == ("full", "Full", "B")
    assert first.text == "Green tea and more green tea."
    assert first.score > second.score > 0
    assert asked.rank("green tea", 1) == [first]


def test_what_ties_comes_in_the_order_given() -> None:
    """Passages that say as much about a question keep the order in which they were given."""
    asked = build_index(candidate(str(number), f"tea {number:02}") for number in range(20))
    assert contents(asked.rank("tea", 5)) == [str(each) for each in range(5)]


def test_the_same_text_twice_is_one_passage() -> None:
    """A text that several contents have is in an answer once, so that other texts have room."""
    asked = index({"first": "Green tea.", "again": "Green tea.", "other": "Black tea."})
    assert sorted(contents(asked.rank("tea", 5))) == ["first", "other"]


@pytest.mark.parametrize(
    "question",
    [
        *("", " ", "\n", "?!", '"', '""', "'", "\\", "*", "()", "(", ";--", "\x00", "😀", "👩‍👩‍👧"),
        *("NEAR", "NEAR(a b, 2)", "AND", "OR NOT", "tea AND", '"tea', "tea*", "text:tea", "^tea"),
        *("{title}: tea", "-tea", "tea + tea", "' OR 1=1; DROP TABLE passages", "%s {0} $1"),
        *("\u0301", "\ud800", "\u202etea", "ªº½²", "\U0010ffff", "a" * 100_000, "tea " * 25_000),
    ],
)
def test_a_question_is_words_and_no_query(question: str) -> None:
    """A question with any characters finds the passages that have its words."""
    asked = index({"tea": "Some tea.", "other": "Something else."})
    has_the_word = "tea" in re.split(r"\W+", question)
    assert contents(asked.rank(question, 5)) == ["tea"] * has_the_word


def test_a_long_question_is_about_its_rarest_words() -> None:
    """Of a mail's many words, those count that few passages have."""
    common = [f"common{number}" for number in range(lexical.MAX_TERMS + 20)]
    asked = build_index(
        [
            *(candidate(str(number), " ".join([*common, str(number)])) for number in range(50)),
            candidate("rare", "the warranty ends"),
        ]
    )
    assert best(asked, " ".join([*common, "and the warranty?"])) == "rare"


@pytest.mark.parametrize(
    ("question", "content"),
    [("京都", "kyoto"), ("東京はどこですか", "tokyo"), ("서울에서", "seoul"), ("カ", None)],
)
def test_words_without_spaces_are_found_by_pairs(question: str, content: str | None) -> None:
    """Chinese, Japanese and Korean are found by every two characters that stand together."""
    asked = index(
        {"kyoto": "私は京都に住む。", "tokyo": "首都は東京です。", "seoul": "서울에 산다"}
    )
    assert best(asked, question) == content


def test_accents_leave_letters_that_are_letters_of_their_own() -> None:
    """Folding takes accents off, and leaves syllables of Korean, voices of kana and vowels."""
    assert fold("Éà ÇŒ ß ﬁ 한국 が ｶﾞ") == "ea coe ss fi 한국 が ガ"
    assert fold("か\u3099 किताब กินข้าว") == "が किताब กินขาว"
    assert split_words("किताब नहीं है।") == ["किताब", "नहीं", "है"]
    assert split_words("L'œuvre-clé n°5 foo_bar") == ["l", "oeuvre", "cle", "n", "5", "foo", "bar"]


@pytest.mark.long
def test_folding_is_the_same_for_all_forms_of_a_letter() -> None:
    """A folded text has nothing left to fold, and either case of any letter is the same."""
    letters = [chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000]
    assert [each for each in letters if fold(fold(each)) != fold(each)] == []
    assert [each for each in letters if fold(each.upper()) != fold(each.lower())] == []


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_every_letter_can_be_found(seed: int) -> None:
    """Any letter or digit of Unicode's first plane is found where it stands."""
    letters = [chr(code) for code in range(0x10000) if chr(code).isalnum()]
    some = [f"{letter}x" for letter in seeded(seed).sample(letters, 200)]
    some.append("\u19b0x")  # a letter only since SQLite's tables of letters were made
    asked = build_index([candidate("all", " ".join(some))])
    assert [word for word in some if not asked.rank(word, 1)] == []


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_a_passage_is_found_by_its_own_rarest_word(seed: int) -> None:
    """A word that one passage alone has finds it, in any case."""
    random = seeded(seed)
    vocabulary = [f"{random.choice('bcdfg')}a{number}" for number in range(200)]
    texts = {
        str(number): " ".join(
            [*random.choices(vocabulary, k=random.randrange(1, 80)), f"Zz{number}"]
        )
        for number in range(60)
    }
    asked = index(texts)
    for number in random.sample(range(60), 10):
        noise = random.choices(vocabulary, k=3)
        assert str(number) in contents(asked.rank(f"ZZ{number}", 1))
        ranked = asked.rank(" ".join([*noise, f"zZ{number}"]), 60)
        assert str(number) in contents(ranked)
        assert [each.score for each in ranked] == sorted((e.score for e in ranked), reverse=True)


SHOP = {
    "delivery": "Standard delivery takes three to five working days and costs £3.90. Orders over"
    " £40 are delivered free. You receive an email with a tracking number.",
    "refunds": "You may return any item within 30 days of receiving it, unworn and with its label."
    " We refund the price to the card that you paid with. Sale items can be exchanged.",
    "hours": "Our shop in Bath is open Monday to Saturday from 9:30 to 18:00, and closed on bank"
    " holidays. Call us on 01225 555 010 or write to us.",
}
BOUTIQUE = {
    "livraison": "La livraison standard prend trois à cinq jours ouvrés et coûte 4,90 €. Elle est"
    " offerte à partir de 50 € d'achat. Vous recevez un numéro de suivi.",
    "retours": "Vous disposez de 30 jours après réception pour nous retourner un article. Le"
    " remboursement est effectué sur la carte utilisée lors du paiement.",
    "horaires": "Notre boutique à Nantes est ouverte du mardi au samedi de 10 h à 19 h. Elle est"
    " fermée le dimanche et les jours fériés.",
}


@pytest.mark.parametrize(
    ("question", "content"),
    [
        ("How do I get a refund?", "refunds"),
        ("I would like to return the boots that I bought", "refunds"),
        ("Can I exchange a jumper that was in the sale?", "refunds"),
        ("How long does delivery take, and what does it cost?", "delivery"),
        ("Where do I find the tracking number of my parcel?", "delivery"),
        ("Is your shop open on Saturdays?", "hours"),
        ("Hello, my sister gave me a lamp for my birthday. May I return it? Anna", "refunds"),
        ("Comment être remboursé ?", "retours"),
        ("Je voudrais retourner les bottes que j'ai achetées", "retours"),
        ("Combien coûte la livraison en Belgique ?", "livraison"),
        ("Êtes-vous ouverts le dimanche ?", "horaires"),
    ],
)
def test_three_documents_answer_questions_in_natural_words(question: str, content: str) -> None:
    """A question to a handful of documents finds the one that answers it, as a user puts it."""
    three = SHOP if content in SHOP else BOUTIQUE
    assert best(index(three), question) == content


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of Mongolia?",
        "How do I boil an egg?",
        "Who painted the Mona Lisa?",
        "Why is the sky blue?",
        "Quelle est la capitale de la Mongolie ?",
        "Comment faire cuire un œuf ?",
        "Qui a peint la Joconde ?",
    ],
)
@pytest.mark.parametrize("texts", [SHOP, BOUTIQUE, SHOP | BOUTIQUE])
def test_a_question_about_something_else_finds_nothing(
    texts: dict[str, str], question: str
) -> None:
    """A question that has nothing to do with the documents gets no passage of them."""
    assert index(texts).rank(question, 5) == []


def test_a_common_word_alone_is_too_little() -> None:
    """A passage must have about as much of a question as one of its two rarest words."""
    asked = index(
        {str(number): f"The price of item {number} is {number} euros." for number in range(2_000)}
    )
    assert len(asked.rank("What is the price?", 5)) == 5
    assert asked.rank("What is the price of a camel in Mongolia?", 5) == []
    assert best(asked, "What is the price of item 1234?") == "1234"
    assert best(asked, "Dear Sirs, my uncle Bob in Cork wants item 1234, price included") == "1234"


def test_among_many_passages_one_rare_word_is_too_little() -> None:
    """One of a question's two words answers among few passages, and by chance among many."""
    texts = {str(number): f"Item {number} weighs {number} grams." for number in range(lexical.MANY)}
    texts["zebra"] = "A zebra has stripes."
    assert index(texts).rank("Do zebras migrate?", 5) == []
    assert best(index(texts), "Have zebras stripes?") == "zebra"
    assert best(index(texts), "zebra") == "zebra"
    few = {name: texts[name] for name in ("1", "2", "zebra")}
    assert best(index(few), "Do zebras migrate?") == "zebra"


def test_a_passages_own_language_counts() -> None:
    """Contents of one folder in several languages are stemmed each in its own."""
    asked = index(
        {
            "de": "Die Einrichtung der Drucker ist in den Anleitungen beschrieben.",
            "es": "La instalación de las impresoras se describe en los manuales.",
            "fr": "L'installation des imprimantes est décrite dans les manuels.",
            "it": "L'installazione delle stampanti è descritta nei manuali.",
        }
    )
    assert best(asked, "Wo ist die Anleitung für meinen Drucker?") == "de"
    assert best(asked, "¿Cómo se instala la impresora?") == "es"
    assert best(asked, "Comment installer une imprimante ?") == "fr"
    assert best(asked, "Come si installa la stampante?") == "it"
    assert best(asked, "imprimante") == "fr"


def test_nothing_selected_is_nothing_found() -> None:
    """An empty selection has no passages for any question."""
    assert build_index([]).rank("tea", 5) == []


class Reader:
    """Gives the passages of the selections, and notes which were read."""

    def __init__(self, texts: Callable[[Selection], dict[str, str]]) -> None:
        self.read: list[Selection] = []
        self._texts = texts

    def __call__(self, selection: Selection) -> Iterable[Candidate]:
        """Return a selection's passages."""
        self.read.append(selection)
        return [candidate(content, text) for content, text in self._texts(selection).items()]


def test_the_same_version_is_read_once() -> None:
    """A selection is read again only when its version has changed."""
    reader = Reader(lambda selection: {selection.version: f"tea of version {selection.version}"})
    ranking = LexicalRanking(MemoryIndexes(reader))
    newer = Selection("demo", version="2")
    for selection in (SELECTION, SELECTION, newer, newer):
        (found,) = ranking.rank("tea", selection, 5)
        assert found.origin.content == selection.version
    assert reader.read == [SELECTION, newer]


def test_questions_read_nothing_anew() -> None:
    """However many questions are asked, a selection is read once for each of its versions."""
    reader = Reader(lambda selection: {"tea": f"tea {selection.version}", "cup": "a cup"})
    ranking = LexicalRanking(MemoryIndexes(reader))
    asked = [
        Selection("demo", version=str(version), folders=folders)
        for version in range(3)
        for _ in range(20)
        for folders in (frozenset[str](), frozenset({"a"}), frozenset({"b"}))
    ]
    for number, selection in enumerate(asked):
        ranking.rank(("tea", "a cup", "nothing of it")[number % 3], selection, 5)
    assert len(reader.read) == len({*reader.read}) == 9


def test_selections_do_not_mix() -> None:
    """A tenant, a folder or a tag never gets passages that were read for another."""
    reader = Reader(lambda selection: {repr(selection): f"tea {selection.tenant}"})
    ranking = LexicalRanking(MemoryIndexes(reader))
    selections = [
        SELECTION,
        Selection("other", version="1"),
        Selection("demo", version="1", folders=frozenset({"a"})),
        Selection("demo", version="1", folders=frozenset({"b"})),
        Selection("demo", version="1", tags=frozenset({"a"})),
    ]
    for selection in selections * 2:
        assert contents(ranking.rank("tea", selection, 5)) == [repr(selection)]
    assert reader.read == selections


def test_indexes_are_kept_as_far_as_they_fit() -> None:
    """The indexes kept take no more memory than allowed; those not used for longest go first."""
    reader = Reader(lambda selection: {"tea": "tea " + selection.tenant * 3})
    size = build_index([candidate("tea", "tea")]).size
    ranking = LexicalRanking(MemoryIndexes(reader, max_bytes=2 * size))
    first, second, third = (Selection(tenant, version="1") for tenant in "abc")
    for selection in (first, second, first, third, first, second):
        assert ranking.rank("tea", selection, 5)
    assert reader.read == [first, second, third, second]


def test_an_index_that_does_not_fit_is_used_all_the_same() -> None:
    """The newest index is kept whatever its size."""
    reader = Reader(lambda _: {"tea": "tea"})
    ranking = LexicalRanking(MemoryIndexes(reader, max_bytes=1))
    assert ranking.rank("tea", SELECTION, 5)
    assert ranking.rank("tea", SELECTION, 5)
    assert len(reader.read) == 1


@pytest.mark.long
def test_threads_share_a_ranking() -> None:
    """Many threads at once get what one gets, and each index is built once."""
    reader = Reader(
        lambda each: {f"{each.tenant}-{number}": f"tea {number}" for number in range(50)}
    )
    ranking = LexicalRanking(MemoryIndexes(reader))
    together = threading.Barrier(8)

    def ask(number: int) -> list[str]:
        together.wait(timeout=10)
        selection = Selection(f"tenant-{number % 2}", version="1")
        return [
            ranking.rank(f"tea {each}", selection, 1)[0].origin.content
            for _ in range(20)
            for each in range(50)
        ]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    for number, answer in enumerate(answers):
        assert answer == [f"tenant-{number % 2}-{each}" for each in range(50)] * 20
    assert len(reader.read) == 2


def test_threads_may_ask_what_is_being_dropped() -> None:
    """An index that is dropped while threads ask it still answers them, and is closed after."""
    reader = Reader(lambda selection: {selection.tenant: f"tea {selection.tenant}"})
    ranking = LexicalRanking(MemoryIndexes(reader, max_bytes=1))

    def ask(number: int) -> bool:
        tenant = f"tenant-{number % 3}"
        found = ranking.rank("tea", Selection(tenant, version="1"), 1)
        return contents(found) == [tenant]

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(ask, range(300)))


def test_what_cannot_be_read_is_read_again() -> None:
    """A selection whose reading failed is read again by the next question."""
    failures = [ConnectionError("gone"), None]

    def read(_: Selection) -> Iterable[Candidate]:
        if error := failures.pop(0):
            raise error
        return [candidate("tea", "tea")]

    ranking = LexicalRanking(MemoryIndexes(read))
    with pytest.raises(ConnectionError):
        ranking.rank("tea", SELECTION, 1)
    assert ranking.rank("tea", SELECTION, 1)


@pytest.mark.parametrize(
    ("limits", "unit"),
    [
        (Limits(1_000, 10**6, 10**9), "passages"),
        (Limits(10**6, 1_000, 10**9), "characters"),
        (Limits(10**6, 10**6, 1_000), "bytes of words and texts"),
    ],
)
def test_too_much_is_refused_with_what_to_do(limits: Limits, unit: str) -> None:
    """More than can be searched is refused before it is all read, and the owner is told a way."""
    read = 0

    def endless() -> Iterable[Candidate]:
        nonlocal read
        while True:
            read += 1
            yield candidate("a", f"text {read}")

    with pytest.raises(SelectionTooLargeError) as refused:
        build_index(endless(), limits)
    assert str(refused.value) == (
        f"The knowledge base has more than 1,000 {unit} in these folders and tags, which is more"
        " than can be searched at once: choose fewer folders or tags, set the step's"
        " context.ranking to semantic, or rank with Amazon Bedrock Knowledge Bases."
    )
    assert read <= 1_001


def test_what_is_too_large_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A selection that is too large is read again only when its version has changed."""
    monkeypatch.setattr(lexical, "IN_MEMORY", lexical.IN_MEMORY._replace(passages=1))
    reader = Reader(lambda selection: {"a": "tea", "b": selection.version * 2})
    ranking = LexicalRanking(MemoryIndexes(reader))
    newer = Selection("demo", version="2")
    for selection in (SELECTION, SELECTION, newer, newer):
        with pytest.raises(SelectionTooLargeError, match="more than 1 passages"):
            ranking.rank("tea", selection, 5)
    assert reader.read == [SELECTION, newer]
    monkeypatch.setattr(lexical, "IN_MEMORY", lexical.IN_MEMORY._replace(passages=2))
    smaller = Selection("demo", version="3")
    assert contents(ranking.rank("tea", smaller, 5)) == ["a"]


def test_what_is_too_large_displaces_little() -> None:
    """Selections that are too large leave the kept indexes of others in place."""

    def read(selection: Selection) -> Iterable[Candidate]:
        if selection.tenant != "demo":
            raise SelectionTooLargeError("Too many.")
        reads.append(selection)
        return [candidate("tea", "tea")]

    reads: list[Selection] = []
    ranking = LexicalRanking(MemoryIndexes(read))
    for tenant in ("demo", *map(str, range(100)), "demo"):
        with suppress(SelectionTooLargeError):
            ranking.rank("tea", Selection(tenant, version="1"), 1)
    assert reads == [SELECTION]


def test_the_size_is_what_the_database_takes() -> None:
    """The size of an index grows with its texts, and covers them."""
    texts = [passage.text for passage in cut_passages("Some words that follow. " * 20_000)]
    numbered = [candidate(str(number), f"{number} {text}") for number, text in enumerate(texts)]
    assert build_index(numbered).size > sum(map(len, texts)) > 100 * build_index([]).size / 10
    named = [candidate(str(number), str(number), "Name " * 200) for number in range(1_000)]
    assert build_index(named).size > 1_000_000


def test_a_python_without_fts5_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SQLite lacks FTS5 the error says what is missing."""

    class Without(sqlite3.Connection):
        def execute(self, *_: object) -> sqlite3.Cursor:
            return super().execute("CREATE VIRTUAL TABLE terms USING no_such_module(text)")

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path: connect(path, factory=Without))
    lexical._check_fts5.cache_clear()  # noqa: SLF001 - checked once in a process
    with pytest.raises(RuntimeError, match="needs SQLite with FTS5"):
        build_index([])
