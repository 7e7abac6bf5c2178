"""The text of workbooks: XLSX, with numbers and dates as they are shown; and CSV."""

from pathlib import Path

import pytest

from afterword.files import media_types
from afterword.generations import FailedError, Reason
from afterword_documents import number_formats, xlsx
from afterword_documents.extraction import extract
from tests.harness import packages
from tests.harness.packages import cell, number, row

CASES = Path(__file__).parent / "cases"


def read(content: bytes) -> str:
    """Return a workbook's text, as a file that is sent is read."""
    assert media_types.detect(content) == media_types.XLSX
    return extract(media_types.XLSX, content, 20)


def test_each_sheet_is_a_table_with_its_name() -> None:
    """Sheets come in order, with all kinds of values; hidden and empty ones do not."""
    content = packages.xlsx(
        {
            "Prix & taux": row(cell("Produit"), cell("Prix"), cell("Le"), cell("Part"))
            + row(cell("0", "s"), number("4.5", 1), number("46356", 2), number("0.256", 3))
            + row(cell("1", "s"), number("1234.5"), cell("1", "b"), cell("#DIV/0!", "e"))
            + row(cell("a\nb", "str"), number("6", formula="SUM(B1:B2)"), cell("2026-11-30", "d")),
            "Secret": row(cell("hidden")),
            "Vide": row() + row(cell(" ")),
            "Fin": row(cell("z")),
        },
        strings=(
            "<si><t>Café</t></si>",
            "<si><r><t>Th</t></r><r><rPr><b/></rPr><t>é</t></r><rPh><t>reading</t></rPh></si>",
        ),
        formats=('#,##0.00 "€"', "dd/mm/yyyy", "0.0%"),
        hidden=("Secret",),
    )
    assert read(content) == (
        "# Prix & taux\n\n| Produit | Prix | Le | Part |\n| Café | 4.50 € | 30/11/2026 | 25.6% |\n"
        "| Thé | 1234.5 | TRUE | #DIV/0! |\n| a b | 6 | 2026-11-30 |  |\n\n# Fin\n\n| z |"
    )


def test_cells_stand_in_their_columns() -> None:
    """Cells that are left out leave their columns empty; columns without text are dropped."""
    rows = (
        row(cell("a", place="A1"), cell("c", place="C1"), cell("e", place="XFD1"))
        + row(cell("b", place="C2"), number=2)
        + row(cell("z", place="A1048576"), number=1_048_576)
    )
    assert xlsx.text(packages.xlsx({"S": rows})) == (
        "# S\n\n| a | c | e |\n|  | b |  |\n\n| z |  |  |"
    )


def test_a_formula_that_was_never_calculated_is_shown_itself() -> None:
    """A formula has its last value; one that a program has written without a value is its text."""
    rows = row(number("", formula="A1*2"), number("3", formula="1+2"))
    assert xlsx.text(packages.xlsx({"S": rows})) == "# S\n\n| =A1*2 | 3 |"


def test_a_formula_whose_value_is_an_empty_text_is_shown_as_empty() -> None:
    """A formula that gives no text leaves its cell empty; an empty number is none yet."""
    late = 'IF(A2&gt;5,"late","")'
    rows = row(
        cell("a"),
        f'<c t="str"><f>{late}</f><v></v></c>',
        "<c><f>A1+1</f><v/></c>",
        f'<c t="str"><f>{late}</f></c>',
    )
    assert xlsx.text(packages.xlsx({"S": rows})) == ('# S\n\n| a | =A1+1 | =IF(A2>5,"late","") |')


def test_escaped_characters_are_read() -> None:
    """Characters that XML cannot have are escaped in strings; an underscore may be, too."""
    rows = row(
        cell("0", "s"),
        '<c t="inlineStr"><is><t>a_x0009_b_x0001_</t></is></c>',
        cell("_xD83D__xDE00_", "str"),
    )
    content = packages.xlsx({"S": rows}, strings=("<si><t>one_x000D_two _x005F_x0041_</t></si>",))
    assert xlsx.text(content) == "# S\n\n| one two _x0041_ | a b | 😀 |"


def test_dates_may_begin_in_1904() -> None:
    """A workbook of an old Macintosh counts its days from 1904."""
    rows = row(number("44894", 1))
    content = packages.xlsx(
        {"S": rows}, formats=("yyyy-mm-dd",), properties='<workbookPr date1904="1"/>'
    )
    assert xlsx.text(content) == "# S\n\n| 2026-11-30 |"


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (1234.5, "General", "1234.5"),
        (3_012_345_678_901, "General", "3012345678901"),
        (0.1 + 0.2, "General", "0.3"),
        (1 / 3, "General", "0.333333333"),
        (1e20, "General", "1E+20"),
        (-5.0, "General", "-5"),
        (1234.567, "#,##0.00", "1,234.57"),
        (1.005, "0.00", "1.01"),
        (2.5, "0", "3"),
        (-0.001, "0.00", "0.00"),
        (42, "00000", "00042"),
        (0.5, "#.##", ".5"),
        (5, "#.##", "5"),
        (1234567, "# ##0", "1234 567"),
        (612345678, "0# ## ## ## ##", "06 12 34 56 78"),
        (1234567, '0.0,,"M"', "1.2M"),
        (0.256, "0%", "26%"),
        (12.5, "[$€-40C] #,##0.00", "€ 12.50"),
        (-12.5, '"$"#,##0.00', "-$12.50"),
        (-5, "0;(0)", "(5)"),
        (-5, "[Red]-0;0", "5"),
        (0, '0;-0;"zero"', "zero"),
        (-1.5, '_-* #,##0.00\\ "€"_-;-* #,##0.00\\ "€"_-', "-1.50 €"),
        (5, '[<10]"low";"high"', "low"),
        (50, '[<10]"low";"high"', "high"),
        (3, 'General" pieces"', "3 pieces"),
        (7, "@", "7"),
        (123456, "0.00E+00", "1.23E+05"),
        (1.75, "# ?/?", "1 3/4"),
        (0.5, "# ??/??", "1/2"),
        (45292, "yyyy-mm-dd", "2024-01-01"),
        (45292, "d.m.yy;@", "1.1.24"),
        (45292, "[$-40C]dddd d mmmm yyyy", "Monday 1 January 2024"),
        (45292, "mmm-yy", "Jan-24"),
        (45292.75, "dd/mm/yyyy hh:mm", "01/01/2024 18:00"),
        (45292, '[$-411]ggge"年"m"月"d"日"', "2024年1月1日"),
        (45292, 'e"年"', "2024年"),
        (45292, "d/m/bbbb (bb)", "1/1/2567 (67)"),
        (45292, "m/d(aaa) AAAA", "1/1(Mon) Monday"),
        (7, "0 g", "7 g"),
        (1234, "0.00e+00", "1.23E+03"),
        (45292.75, "h:mm AM/PM", "6:00 PM"),
        (45292.999999, "yyyy-mm-dd hh:mm:ss", "2024-01-02 00:00:00"),
        (45292.1234567, "mm:ss.0", "57:46.7"),
        (1.5, "[h]:mm", "36:00"),
        (0.5, "[mm]:ss", "720:00"),
        (1, "yyyy-mm-dd", "1900-01-01"),
        (-1, "yyyy-mm-dd", "-1"),
        (1e12, "yyyy-mm-dd", "1000000000000"),
        (1e300, "yyyy", "1E+300"),
        (5, "0" * 300, "5"),
        (5, "", "5"),
        (5, ";;;", ""),
        (5, '"unclosed', "unclosed"),
        (5, "[", "["),
    ],
)
def test_numbers_are_shown_in_their_formats(value: float, number_format: str, shown: str) -> None:
    """A number, date or time is written as the cell shows it."""
    assert number_formats.show(value, number_format) == shown


def test_formats_that_every_file_may_use_are_known() -> None:
    """A format that is named by number alone is the standard's; dates are as ISO has them."""
    rows = row(number("46356.5", 1), number("0.25", 2), number("46356.5", 3), number("5", 4))
    styles = "".join(f'<xf numFmtId="{each}"/>' for each in (0, 14, 10, 22, 999))
    content = packages.xlsx(
        {"S": rows},
        parts={
            "xl/styles.xml": (
                f"<styleSheet {packages.SHEET}><cellXfs>{styles}</cellXfs></styleSheet>"
            )
        },
    )
    assert xlsx.text(content) == "# S\n\n| 2026-11-30 | 25.00% | 2026-11-30 12:00 | 5 |"


@pytest.mark.parametrize(
    "row_of",
    [
        pytest.param(cell("99999999", "s"), id="no such string"),
        pytest.param(cell("-1", "s"), id="a string before the first"),
        pytest.param(number("nonsense", 9_999_999), id="no such style"),
        pytest.param(number("1e999", 1), id="an infinite number"),
        pytest.param(number("1e999"), id="an infinite number without a format"),
        pytest.param(number("9" * 400, 1), id="a number without end"),
        pytest.param(cell("x", place="ZZZZ99999999999999"), id="a place beyond the sheet"),
    ],
)
def test_wrong_values_cost_no_more_than_themselves(row_of: str) -> None:
    """A cell with a value that cannot be is passed over, and the others are read."""
    text = xlsx.text(packages.xlsx({"S": row(row_of, cell("next"))}, formats=("0.00",)))
    assert text.endswith("next |")


def test_a_workbook_with_nothing_in_it_is_refused() -> None:
    """A workbook whose sheets are all empty has no text."""
    with pytest.raises(FailedError, match="no text") as caught:
        read(packages.xlsx({"S": "", "T": row()}))
    assert caught.value.reason is Reason.UNREADABLE_FILE


def test_a_csv_of_excel_is_read() -> None:
    """A CSV in windows-1252, as Excel saves it, is read with its letters and its euro signs."""
    content = (CASES / "excel-windows1252.csv").read_bytes()
    assert media_types.detect(content) == media_types.CSV
    text = extract(media_types.CSV, content, 20)
    assert text.splitlines() == ["Nom;Ville;Prix", "Léa;Besançon;12,50 €", "Zoé;Orléans;8 €"]
