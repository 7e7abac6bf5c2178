"""Cutting texts into passages."""

import time

import pytest

from afterword.knowledge.passages import MAX_HEADER, MAX_HEADING, MAX_PASSAGE, cut_passages
from tests.harness.seeds import SEED_PARAMS, seeded

LONG = 300_000
NARROW_SPACE = "\u202f"
"""The space that French typography puts before some marks, beside U+00A0; none may end a line."""


def texts(text: str, longest: int) -> list[str]:
    return [passage.text for passage in cut_passages(text, longest)]


def without_space(text: str) -> str:
    return "".join(text.split())


def random_text(seed: int) -> str:
    """Return some thousand characters of words, marks, headings, lists, tables and fences."""
    random = seeded(seed)
    parts = (
        *("word ", "Word ", "mot\u00a0", "été ", "x" * 30, "3.14 ", "M. ", "etc. ", "« Oui ! » "),
        *(". ", "! ", "? ", "… ", "。", "字", "\n", "\n\n", "\r\n", "\t", " " * 40),
        *("\n# A\n", "\n### B b\n", "\nTitle\n=====\n", "\n- item ", "\n1. one ", "\n| a | b |\n"),
        *("|---|---|\n", "\n```\n", "\N{GRINNING FACE} ", "e\u0301", "\x00", "\u2028"),
    )
    return "".join(random.choices(parts, k=random.randrange(2_000)))


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_nothing_is_lost_and_nothing_is_there_twice(seed: int) -> None:
    """Every character but white space is in exactly one passage, in order, within the bounds."""
    text = random_text(seed)
    longest = seeded(seed).choice((40, 200, MAX_PASSAGE))
    passages = cut_passages(text, longest)
    assert without_space("".join(passage.text for passage in passages)) == without_space(text)
    assert [passage.number for passage in passages] == list(range(len(passages)))
    for passage in passages:
        assert passage.text == text[passage.start : passage.end] == passage.text.strip() != ""
        assert len(passage.text) <= longest
        assert len(passage.heading) <= MAX_HEADING + 3 + MAX_HEADER
    assert cut_passages(text, longest) == passages


@pytest.mark.parametrize("text", ["", " ", "\n \t\u00a0\n"])
def test_a_text_without_words_has_no_passages(text: str) -> None:
    """A text of nothing but white space has no passages."""
    assert cut_passages(text) == []


def test_passages_are_filled() -> None:
    """A long text is cut into passages of more than half of what they may have."""
    text = " ".join(f"This is sentence number {number} of a long text." for number in range(500))
    sizes = [len(passage.text) for passage in cut_passages(text)]
    assert min(sizes[:-1]) > MAX_PASSAGE // 2


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It works. It does.", ["It works.", "It does."]),
        ("Really?! Yes… Never.", ["Really?!", "Yes…", "Never."]),
        ("He said “No.” She left.", ["He said “No.”", "She left."]),
        ("See p. 12. Then go.", ["See p. 12.", "Then go."]),
        ("Mr. Smith paid $3.50. Dr. No did not.", ["Mr. Smith paid $3.50.", "Dr. No did not."]),
        ("Use it, e.g. Here. Good.", ["Use it, e.g. Here.", "Good."]),
        ("J.-C. Martin est là. M. Dupont non.", ["J.-C. Martin est là.", "M. Dupont non."]),
        ("Voir l'art. 5. Et la suite.", ["Voir l'art. 5.", "Et la suite."]),
        ("Des pommes, etc. Ensuite, rien.", ["Des pommes, etc.", "Ensuite, rien."]),
        ("« Bonjour ! » dit-il. Puis rien.", ["« Bonjour ! » dit-il.", "Puis rien."]),
        ("« Où\u00a0? » Il part.", ["« Où\u00a0? »", "Il part."]),
        (f"Pourquoi{NARROW_SPACE}? Parce que.", [f"Pourquoi{NARROW_SPACE}?", "Parce que."]),
        ("It costs 1. 000 in all. Yes.", ["It costs 1.", "000 in all.", "Yes."]),
        ("1. Introduction to it. Next.", ["1. Introduction to it.", "Next."]),
        ("你好吗。再见。", ["你好吗。", "再见。"]),
        ("你好吗。 再见。", ["你好吗。", "再见。"]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, sentences: list[str]) -> None:
    """Abbreviations, decimals, numbers and French quotation marks do not end a sentence."""
    longest = max(map(len, sentences))
    assert texts(text, longest) == sentences


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        *(("See p.", "12 of it."), ("M.", "Dupont le sait."), ("J.-C.", "Martin est là.")),
        *(
            ("Dr.", "No said so."),
            ("Use it, e.g.", "Here or there."),
            ("Voir l'art.", "5 du code."),
        ),
        *(
            ("1.", "Introduction to it."),
            ("Use 3.", "or so of them."),
            ("« Oui ! »", "dit-il enfin."),
        ),
        *(("Yahoo!", "is a company."), ("Really?", "he asked."), ("L'av.", "Foch est longue.")),
    ],
)
def test_no_sentence_ends_in_the_middle(first: str, rest: str) -> None:
    """No sentence ends after an abbreviation or a number, or before a small letter."""
    before = "x" * 50 + "."
    room_for_the_first = len(f"{before} {first}") + 2
    assert texts(f"{before} {first} {rest}", room_for_the_first) == [before, f"{first} {rest}"]


def test_a_sentence_is_not_torn() -> None:
    """A sentence that fits into a passage is in one passage."""
    sentences = [f"Sentence {number} has a handful of words." for number in range(200)]
    found = texts(" ".join(sentences), 100)
    assert all(any(sentence in passage for passage in found) for sentence in sentences)


def test_a_long_sentence_is_cut_between_words() -> None:
    """A sentence that is longer than a passage is cut between words, never at a no-break space."""
    words = [f"mot{number}\u00a0%" for number in range(100)]
    for passage in texts(" ".join(words), 50):
        assert set(passage.split(" ")) <= set(words)


def test_lines_without_sentences_are_cut_between_lines() -> None:
    """A text without sentences, such as CSV, is cut between its lines."""
    rows = [f"{number};name {number};value" for number in range(100)]
    assert {row for passage in texts("\n".join(rows), 90) for row in passage.split("\n")} == set(
        rows
    )


def test_headings_stay_with_what_follows() -> None:
    """No passage ends with a heading, whatever its length."""
    sections = "\n\n".join(
        f"## Part {number}\n\n" + "Some words follow. " * (number % 9 + 1) for number in range(60)
    )
    for longest in (120, 200, 1_000):
        for passage in texts(sections, longest):
            assert passage.splitlines()[-1].startswith("Some words")


def test_a_heading_is_not_left_behind_for_the_sake_of_size() -> None:
    """A heading stays with what follows, even where the passage before it would be fuller."""
    heading = "## " + "y" * 70
    found = texts(f"{'x' * 40}.\n\n{heading}\n\n{'z' * 120}.", 200)
    assert found == ["x" * 40 + ".", f"{heading}\n\n{'z' * 120}."]


def test_a_short_paragraph_does_not_stand_alone() -> None:
    """A short paragraph before a long one is in a passage with the beginning of it."""
    text = "Short.\n\n" + "Some words that follow. " * 100
    assert min(len(passage.text) for passage in cut_passages(text)[:-1]) > MAX_PASSAGE // 2


def test_long_headings_leave_the_outer_ones_out() -> None:
    """Where the headings above a passage are too long together, the innermost are kept."""
    text = f"# {'a' * 100}\n## {'b' * 150}\n### {'c' * 90}\nWords."
    assert [passage.heading for passage in cut_passages(text)] == [f"{'c' * 90}"]
    text = f"# {'a' * 100}\n## {'b' * 90}\n### {'c' * 90}\nWords."
    assert [passage.heading for passage in cut_passages(text)] == [f"{'b' * 90} > {'c' * 90}"]
    assert len(cut_passages(f"# {'a' * 500}\nWords.")[0].heading) == MAX_HEADING


def test_a_section_begins_a_passage() -> None:
    """Where there is enough before it, a section begins a passage of its own."""
    text = "# One\n\n" + "First words. " * 30 + "\n\n# Two\n\nSecond words."
    assert [passage.text[:5] for passage in cut_passages(text)] == ["# One", "# Two"]


def test_a_passage_knows_the_headings_above_it() -> None:
    """A passage names the headings that it stands under, from the outermost, in either notation."""
    body = "Some words that follow. " * 10
    text = (
        f"Manual\n======\n\n### Set up\n{body}\n#### Linux\n{body}\n{body}\n{body}\n"
        f"### Use it ###\n{body}"
    )
    assert [passage.heading for passage in cut_passages(text, 300)] == [
        "Manual > Set up",
        *["Manual > Set up > Linux"] * 3,
        "Manual > Use it",
    ]


def test_what_stands_in_a_fence_is_no_heading() -> None:
    """A comment in a fenced program is no heading."""
    text = "# Real\n\n```\n# comment\nrun\n```\n\n" + "Some words. " * 30
    assert {passage.heading for passage in cut_passages(text, 200)} == {"Real"}


def test_items_and_rows_are_not_torn() -> None:
    """An item of a list and a row of a table are each in one passage, with all their sentences."""
    items = [f"- Item {number}. It has two sentences.\n  And this line." for number in range(40)]
    rows = [f"| Row {number}. Cell. | And another. Cell. |" for number in range(40)]
    found = texts("\n".join(items) + "\n\n" + "\n".join(rows), 200)
    for part in (*items, *rows):
        assert any(part in passage for passage in found)


def test_a_tables_head_stays_with_its_first_row() -> None:
    """The head of a table, its rule and its first row are in one passage."""
    head = "| Name | Price |\n|---|---|\n| Tea | 3 € |"
    for before in range(10, 60):
        found = texts("x" * before + ".\n\n" + head, 60)
        assert any(head in passage for passage in found)


def test_what_announces_a_list_stays_with_it() -> None:
    """A sentence that ends with a colon is in the passage of what it announces."""
    text = "Words before it. " * 5 + "\n\nYou need:\n\n- tea\n- water"
    for longest in range(60, 120):
        assert any("You need:\n\n- tea" in passage for passage in texts(text, longest))


HOSTILE = (
    *("\n", " ", ".", "? A", ".»", "a\n", "#", "```\n", "a\n---\n", "===\n", "a\u00a0"),
    *(". A", "1. ", '."', "- ", "**", "|", "`"),
)


@pytest.mark.parametrize(
    "unit",
    [
        *("a", ". ", "# a\n", "- a\n", "|-|\n", "字。"),
        *(pytest.param(unit, marks=pytest.mark.long) for unit in HOSTILE),
    ],
)
def test_hostile_texts_take_no_longer_than_others(unit: str) -> None:
    """A long text of anything is cut in seconds: the time grows with the length, not its square."""
    text = (unit * LONG)[:LONG]
    started = time.process_time()
    passages = cut_passages(text)
    assert time.process_time() - started < 5
    assert max((len(passage.text) for passage in passages), default=0) <= MAX_PASSAGE
    assert sum(len(without_space(passage.text)) for passage in passages) == len(without_space(text))


def test_each_passage_of_a_csv_has_the_header() -> None:
    """The first row of a CSV stands above each passage of the other rows."""
    header = "Nom;Ville;Prix"
    rows = [f"Client {number};Besançon;{number},50 €" for number in range(300)]
    passages = cut_passages("\n".join([header, *rows]))
    assert len(passages) > 5
    assert passages[0].text.startswith(header)
    assert passages[0].heading == ""
    assert {passage.heading for passage in passages[1:]} == {header}
    lines = [line for passage in passages for line in passage.text.splitlines()]
    assert lines == [header, *rows]


def test_a_row_of_a_csv_is_not_cut_at_a_line_end_in_a_cell() -> None:
    """A quoted cell with line ends, delimiters and quotes stays in one passage with its row."""
    rows = [f'{number},"He said ""yes"",\nand left {number}"' for number in range(100)]
    passages = cut_passages("\n".join(["id,note", *rows]), 200)
    assert all(passage.text.startswith(("id,note", "1", "2", "3", "4", "5", "6", "7", "8", "9"))
               for passage in passages)  # fmt: skip
    assert all(passage.text.endswith('"') for passage in passages)
    assert {passage.heading for passage in passages[1:]} == {"id,note"}


def test_each_passage_of_a_long_table_has_its_first_row() -> None:
    """The first row of a table in a text stands above each passage of its other rows, no other."""
    table = ["| Name | Price |", "|---|---|", *(f"| Item {n} | {n} € |" for n in range(200))]
    text = "\n".join(["# Prices", "", *table, "", "After the table. " * 80])
    passages = cut_passages(text)
    of_table = [passage for passage in passages[1:] if passage.text.startswith("| Item")]
    assert len(of_table) > 2
    assert {passage.heading for passage in of_table} == {"Prices > | Name | Price |"}
    assert passages[-1].heading == "Prices"


def test_a_long_header_is_cut() -> None:
    """A header of any length adds no more than its bound to a passage's heading."""
    header = ",".join(f"column{number}" for number in range(200))
    rows = [",".join("1" for _ in range(200)) for _ in range(20)]
    passages = cut_passages("\n".join([header, *rows]))
    assert all(len(passage.heading) <= MAX_HEADER for passage in passages)
    assert header.startswith(passages[-1].heading)


@pytest.mark.parametrize("first", ["", "sep=;\r\n"])
@pytest.mark.parametrize("long", ["x", "A note, and\n" * 4_000])
def test_the_header_of_a_csv_is_the_first_row_of_cells(first: str, long: str) -> None:
    """The line that names the delimiter is no header; long cells and uneven rows change nothing."""
    rows = [f'Client {number};"{long}";{number}' for number in range(60)]
    rows[7:7] = ["Total;7"]
    passages = cut_passages(first + "\r\n".join(["Nom;Note;Prix", *rows]))
    assert passages[0].text.startswith(f"{first}Nom;Note;Prix")
    assert {passage.heading for passage in passages[1:]} == {"Nom;Note;Prix"}
