"""The numbers of lists and clauses in Word documents."""

import pytest

from afterword.files import media_types
from afterword_documents import numerals
from afterword_documents.extraction import extract
from tests.harness.docx_files import NAMESPACES, docx, item, paragraph, style


def level(number: int, text: str, number_format: str = "decimal", more: str = "") -> str:
    """Return a level of a list."""
    return (
        f'<w:lvl w:ilvl="{number}"><w:start w:val="1"/><w:numFmt w:val="{number_format}"/>'
        f'{more}<w:lvlText w:val="{text}"/></w:lvl>'
    )


def numbering(*definitions: str, lists: str = "") -> str:
    """Return the part `numbering`: list 1 is of the first definition, and so on."""
    abstract = "".join(
        f'<w:abstractNum w:abstractNumId="{number}">{definition}</w:abstractNum>'
        for number, definition in enumerate(definitions)
    )
    instances = "".join(
        f'<w:num w:numId="{number + 1}"><w:abstractNumId w:val="{number}"/></w:num>'
        for number in range(len(definitions))
    )
    return f"<w:numbering {NAMESPACES}>{abstract}{instances}{lists}</w:numbering>"


def a_list(list_id: int, definition: int, overrides: str = "") -> str:
    """Return another list of a definition."""
    return f'<w:num w:numId="{list_id}"><w:abstractNumId w:val="{definition}"/>{overrides}</w:num>'


def starting(at: int, level: int = 0) -> str:
    """Return the override of a list's start."""
    return f'<w:lvlOverride w:ilvl="{level}"><w:startOverride w:val="{at}"/></w:lvlOverride>'


def marks(items: str, part: str, styles: str = "") -> list[str]:
    """Return the marks of a document's items, each of whose texts is `x`."""
    content = docx(items, numbering=part, **({"styles": styles} if styles else {}))
    lines = extract(media_types.DOCX, content, 20).split("\n")
    return [line.strip().removesuffix("x").strip() for line in lines if line]


def items(*places: tuple[int, int]) -> str:
    """Return items by the ids of their lists and their levels."""
    return "".join(paragraph("x", item(*place)) for place in places)


CLAUSES = level(0, "%1.") + level(1, "%1.%2") + level(2, "(%3)", "lowerLetter")


def test_levels_within_begin_anew() -> None:
    """A deeper level counts from its start after each item of a level above."""
    places = [(1, each) for each in (0, 1, 1, 2, 2, 1, 2, 0, 1, 2)]
    assert marks(items(*places), numbering(CLAUSES)) == (
        ["1.", "1.1", "1.2", "(a)", "(b)", "1.3", "(a)", "2.", "2.1", "(a)"]
    )


def test_a_level_may_go_on_counting() -> None:
    """With a restart of 0 a level never begins anew; with 1 it does after the first level only."""
    never = level(0, "%1.") + level(1, "Art. %2", more='<w:lvlRestart w:val="0"/>')
    assert marks(items((1, 0), (1, 1), (1, 0), (1, 1)), numbering(never)) == (
        ["1.", "Art. 1", "2.", "Art. 2"]
    )
    after_first = CLAUSES.replace(
        '<w:lvlText w:val="(%3)"/>', '<w:lvlRestart w:val="1"/><w:lvlText w:val="(%3)"/>'
    )
    places = [(1, each) for each in (0, 1, 2, 1, 2, 0, 1, 2)]
    assert marks(items(*places), numbering(after_first)) == (
        ["1.", "1.1", "(a)", "1.2", "(b)", "2.", "2.1", "(a)"]
    )


def test_lists_of_one_definition_count_together() -> None:
    """Another list of the same definition goes on, but for one that has a start of its own."""
    part = numbering(CLAUSES, lists=a_list(7, 0) + a_list(8, 0, starting(1)))
    places = items((1, 0), (7, 0), (8, 0), (8, 0), (7, 0))
    assert marks(places, part) == ["1.", "2.", "1.", "2.", "3."]


def test_a_list_may_have_other_levels() -> None:
    """A level of a list's own stands for the definition's; starts may be anywhere."""
    own = f'<w:lvlOverride w:ilvl="0">{level(0, "§ %1", "upperRoman")}</w:lvlOverride>'
    part = numbering(CLAUSES, lists=a_list(7, 0, own + starting(5, 1)))
    assert marks(items((7, 0), (7, 1), (7, 1), (7, 0), (7, 1)), part) == (
        ["§ I", "I.5", "I.6", "§ II", "II.5"]
    )


def test_a_legal_numbering_has_digits_alone() -> None:
    """All the numbers of a legal level are in digits, whatever their own levels have."""
    part = numbering(level(0, "Article %1", "upperRoman") + level(1, "%1.%2", more="<w:isLgl/>"))
    assert marks(items((1, 0), (1, 1)), part) == ["Article I", "1.1"]


def test_a_number_is_written_as_it_is_meant() -> None:
    """Bullets are dashes; without a text a dot follows; without a format the text stands alone."""
    part = numbering(
        level(0, "\uf0b7", "bullet"),
        '<w:lvl w:ilvl="0"><w:numFmt w:val="decimal"/></w:lvl>',
        level(0, "Note:", "none"),
        level(0, "", "decimal"),
        level(0, "%1", "custom").replace('custom"', 'custom" w:format="001, 002, 003, ..."'),
        level(0, "第%1条", "japaneseCounting", '<w:suff w:val="nothing"/>'),
    )
    places = items((1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (99, 0))
    assert marks(places, part) == ["-", "1.", "Note:", "", "001", "第一条", "-"]


STYLES = (
    f"<w:styles {NAMESPACES}>"
    '<w:style w:type="paragraph" w:styleId="H1"><w:name w:val="heading 1"/>'
    '<w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="H2"><w:name w:val="heading 2"/><w:basedOn w:val="H1"/>'
    '<w:pPr><w:numPr><w:ilvl w:val="1"/></w:numPr></w:pPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="C"><w:name w:val="Clause"/>'
    '<w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="Mine"><w:name w:val="Mine"/><w:basedOn w:val="H2"/>'
    "</w:style>"
    '<w:style w:type="numbering" w:styleId="Outline"><w:name w:val="Outline"/>'
    '<w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:style></w:styles>'
)
_TEXT = '<w:lvlText w:val="(%3)"/>'
BOUND = CLAUSES.replace(_TEXT, f'<w:pStyle w:val="C"/>{_TEXT}')


def test_styles_have_numbers() -> None:
    """A paragraph has the number of its style, or of those that it is based on."""
    content = docx(
        paragraph("One", style("H1"))
        + paragraph("Two", style("H2"))
        + paragraph("three", style("C"))
        + paragraph("Four", style("Mine"))
        + paragraph("Five", style("H1") + '<w:numPr><w:numId w:val="0"/></w:numPr>')
        + paragraph("six", style("C")),
        styles=STYLES,
        numbering=numbering(BOUND),
    )
    assert extract(media_types.DOCX, content, 20) == (
        "# 1. One\n\n## 1.1 Two\n\n    (a) three\n\n## 1.2 Four\n\n# Five\n\n    (a) six"
    )


def test_a_definition_may_be_a_styles() -> None:
    """A definition that names a style has the levels of the style's list."""
    part = numbering(CLAUSES, '<w:numStyleLink w:val="Outline"/>')
    assert marks(items((2, 0), (2, 1)), part, STYLES) == ["1.", "1.1"]


def test_an_empty_item_counts_and_a_deleted_one_does_not() -> None:
    """Word shows the number of an item without text; a deleted item has none."""
    empty = f"<w:p><w:pPr>{item(1)}</w:pPr></w:p>"
    deleted = (
        f"<w:p><w:pPr>{item(1)}<w:rPr><w:del/></w:rPr></w:pPr>"
        "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>"
    )
    changed = paragraph("x", f"{item(1)}<w:pPrChange><w:pPr>{item(1, 2)}</w:pPr></w:pPrChange>")
    part = numbering(CLAUSES)
    assert marks(items((1, 0)) + empty + items((1, 0)) + deleted + changed, part) == (
        ["1.", "3.", "4."]
    )


def test_a_document_without_its_levels_is_read() -> None:
    """Lists, levels, starts and styles that are not there, or go in circles, do no harm."""
    circle = STYLES.replace('<w:basedOn w:val="H1"/>', '<w:basedOn w:val="H2"/>')
    part = numbering(
        '<w:numStyleLink w:val="Outline"/>',
        '<w:lvl w:ilvl="x"><w:start w:val="-1"/><w:numFmt/><w:lvlText w:val="%9%0%"/></w:lvl>',
        lists=a_list(9, 99) + a_list(10, 1, starting(10**12)),
    )
    content = docx(
        items((1, 0), (2, 0), (9, 3), (10, 0)) + paragraph("x", style("H2")),
        styles=circle,
        numbering=part,
    )
    assert extract(media_types.DOCX, content, 20).count("x") == 5


@pytest.mark.parametrize(
    ("number_format", "written"),
    [
        ("decimal", "1 4 9 27 40"),
        ("decimalZero", "01 04 09 27 40"),
        ("lowerLetter", "a d i aa nn"),
        ("upperLetter", "A D I AA NN"),
        ("lowerRoman", "i iv ix xxvii xl"),
        ("upperRoman", "I IV IX XXVII XL"),
        ("ordinal", "1st 4th 9th 27th 40th"),
        ("hex", "1 4 9 1B 28"),
        ("russianLower", "\u0430 \u0433 и э лл"),
        ("chineseCounting", "一 四 九 二十七 四十"),
        ("ideographTraditional", "甲 丁 壬 庚庚庚 癸癸癸癸"),
        ("decimalEnclosedCircle", "① ④ ⑨ 27 40"),
        ("decimalFullWidth", "\uff11 \uff14 \uff19 \uff12\uff17 \uff14\uff10"),
        ("cardinalText", "One Four Nine Twenty-seven Forty"),
        ("ordinalText", "First Fourth Ninth Twenty-seventh Fortieth"),
        ("aiueo", "ア エ ケ ヒ リ"),
        ("ganada", "가 라 자 파파 타타타"),
    ],
)
def test_numbers_are_in_words_formats(number_format: str, written: str) -> None:
    """Each format writes numbers as Word does; those that are not known are digits."""
    numbers = (1, 4, 9, 27, 40)
    assert [numerals.write(each, number_format) for each in numbers] == written.split()


@pytest.mark.parametrize(
    ("number", "cardinal", "ordinal"),
    [
        (0, "Zero", "Zeroth"),
        (12, "Twelve", "Twelfth"),
        (100, "One hundred", "One hundredth"),
        (1_101, "One thousand one hundred one", "One thousand one hundred first"),
        (
            9_999,
            "Nine thousand nine hundred ninety-nine",
            "Nine thousand nine hundred ninety-ninth",
        ),
        (10_002, "10002", "10002nd"),
    ],
)
def test_numbers_are_written_in_words(number: int, cardinal: str, ordinal: str) -> None:
    """Words are English whatever the document's language, and numbers beyond them are digits."""
    assert numerals.write(number, "cardinalText") == cardinal
    assert numerals.write(number, "ordinalText") == ordinal


@pytest.mark.parametrize("number_format", [*numerals._WRITERS, "custom", "other"])  # noqa: SLF001
@pytest.mark.parametrize("number", [0, 10_000, 999_999_999])
def test_any_number_is_written(number_format: str, number: int) -> None:
    """Numbers that a format has no form for are short all the same."""
    assert 0 < len(numerals.write(number, number_format, "001")) < 50
