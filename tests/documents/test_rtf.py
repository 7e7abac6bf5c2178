"""The text of RTF from Word, LibreOffice, TextEdit and small programs."""

from pathlib import Path

import pytest

from afterword.files import media_types
from afterword_documents import rtf
from afterword_documents.extraction import extract

CASES = Path(__file__).parent / "cases"


def test_a_letter_is_read() -> None:
    """The bytes of the document's code page become its letters, and no code is left."""
    content = (CASES / "letter.rtf").read_bytes()
    assert media_types.detect(content) == media_types.RTF
    assert extract(media_types.RTF, content, 20) == "Le délai est de deux mois."


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param(rb"\ansi\ansicpg1251 \'cf\'f0\'e8", "При", id="of the document"),
        pytest.param(
            rb"\ansi\ansicpg1251\deff0{\fonttbl{\f0\fcharset0 Arial;}}\f0 \'cf\'f0",
            "Пр",
            id="of a document whose fonts say ANSI",
        ),
        pytest.param(
            rb"\ansi\ansicpg1251{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset204 B;}}\f0 \'e9\f1 \'cf",
            "éП",
            id="of two fonts",
        ),
        pytest.param(
            rb"\ansi{\fonttbl{\f1\fcharset161 A;}{\f2\fcharset238 B;}}{\f1 \'e1}{\f2 \'b9}\'e9",
            "αąé",
            id="of groups",
        ),
        pytest.param(
            rb"\ansi\deff1{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset204 B;}}\f0 \'e9\plain \'cf",
            "éП",
            id="of the default font",
        ),
        pytest.param(
            rb"\ansi{\fonttbl{\f0\fcharset128 A;}}\f0 \'83A\'83\\\'82\'a0x",
            "アソあx",
            id="Japanese",
        ),
        pytest.param(rb"\ansi{\fonttbl{\f0\fcharset134 A;}}\f0 \'c4\'e3", "你", id="Chinese"),
        pytest.param(rb"\ansi{\fonttbl{\f0\cpg1253 A;}}\f0 \'e2", "β", id="of a font's code page"),
        pytest.param(rb"\mac d\'8elai", "délai", id="Macintosh"),
        pytest.param(rb"\pc d\'82lai", "délai", id="DOS"),
        pytest.param(rb"\ansi\ansicpg10000 d\'8elai", "délai", id="Macintosh as a code page"),
        pytest.param(rb"\ansi\ansicpg65001 d\'c3\'a9lai", "délai", id="UTF-8"),
        pytest.param(rb"\ansi\ansicpg99999 d\'e9lai", "délai", id="unknown"),
        pytest.param(b"\\ansi d\xe9lai", "délai", id="bytes as they are"),
        pytest.param(rb"\ansi{\fonttbl{\f3\fcharset2 Symbol;}}{\f3\'b7} a", "• a", id="symbols"),
    ],
)
def test_each_code_page_is_read(content: bytes, text: str) -> None:
    """Bytes are those of the font's character set, else of the document's code page."""
    assert rtf.text(b"{\\rtf1" + content + b"\\par}") == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param(rb"\u233\'e9t\u233\'e9", "été", id="one byte"),
        pytest.param(rb"\u8217?s", "\u2019s", id="a letter"),
        pytest.param(rb"\uc2\u21644\'98\'61 ok", "和 ok", id="two bytes"),
        pytest.param(rb"\uc0\u233 t\u233 ", "été", id="none"),
        pytest.param(rb"{\uc2\u21644 ab}\u233?x", "和éx", id="as many as the group has"),
        pytest.param(rb"\u233\tab x", "éx", id="a control word"),
        pytest.param(rb"{\u233}?x", "é?x", id="none in the group"),
        pytest.param(rb"\u-10179?\u-8704?", "\N{GRINNING FACE}", id="a pair of surrogates"),
        pytest.param(rb"\u-10179?x", "\ufffdx", id="half a pair"),
        pytest.param(rb"\u-3913?", "•", id="of a symbol font"),
        pytest.param(rb"{\upr{?}{\*\ud{\u233\'e9}}}", "é", id="both forms of a text"),
    ],
)
def test_unicode_is_read_once(content: bytes, text: str) -> None:
    r"""A character by its number (`\u`) is read, and its fallback is not."""
    assert rtf.text(b"{\\rtf1\\ansi " + content + b"\\par}") == text


def test_a_document_of_word_is_read() -> None:
    """Headings, lists, tables and notes come as in other documents; the rest does not."""
    content = rb"""{\rtf1\adeflang1025\ansi\ansicpg1252\uc1\deff0\deflang1036
{\fonttbl{\f0\froman\fcharset0\fprq2{\*\panose 02020603050405020304}Times New Roman;}
{\f3\froman\fcharset2 Symbol;}}{\colortbl;\red0\green0\blue0;}
{\stylesheet{\ql \snext0 Normal;}{\s1\outlinelevel0 heading 1;}{\*\cs10 Default;}}
{\*\listtable{\list{\listlevel{\leveltext\'01\u-3913 ?;}{\levelnumbers;}}}}
{\info{\title Secret title}{\author Zo\'e9}}{\*\xmlnstbl {\xmlns1 http://a}}
{\header \pard A header\par}{\footer \pard Page \chpgn\par}
\pard\plain \s1\outlinelevel0 {\rtlch \ltrch\insrsid1 Contrat d\rquote \'e9t\'e9}\par
\pard\plain {\*\bkmkstart a}Premier {\b paragraphe}{\*\bkmkend a}.{\v hidden}{\deleted gone}\par
{\pard\plain {\listtext\pard\plain \f3 \'b7\tab}\ilvl0\ls1 un\par
{\listtext\pard\plain 2.\tab}\ilvl1 deux\par}
\pard\plain\trowd\cellx100\cellx200\pard\intbl Produit\cell Prix\cell\row
\trowd\pard\intbl Caf\'e9{\line}moulu\cell 4 \'80\cell\row
\pard Avant{\super\chftn{\footnote\pard {\super\chftn} Une note.}} et apr\'e8s.\par
{\field{\*\fldinst HYPERLINK "https://example.com"}{\fldrslt un lien}}
{\pict\wmetafile8\bin9 }}}{{{\\x}{\nonshppict{\pict 0102}}\~fin\par
{\shp{\*\shpinst{\sp{\sn name}{\sv value}}{\shptxt \pard Encadr\'e9\par}}{\shprslt other}}}
{\*\themedata 504b0304}}after the end"""
    assert rtf.text(content) == (
        "# Contrat d\u2019été\n\nPremier paragraphe.\n\n- un\n  2. deux\n\n"
        "| Produit | Prix |\n| Café moulu | 4 € |\n\nAvant[1] et après.\n\n"
        "un lien\u00a0fin\n\nEncadré\n\n[1] Une note."
    )


def test_a_document_of_textedit_is_read() -> None:
    """Apple's form is read: fonts without groups, line ends as backslashes, lists."""
    content = rb"""{\rtf1\ansi\ansicpg1252\cocoartf2709
\cocoatextscaling0\cocoaplatform0{\fonttbl\f0\fswiss\fcharset0 Helvetica;\f1\fnil\fcharset0 Menlo;}
{\colortbl;\red255\green255\blue255;}
{\*\expandedcolortbl;;}
\paperw11900\paperh16840
\pard\tx566\pardirnatural\partightenfactor0

\f0\fs24 \cf0 Le d\'e9lai est l\'92\'e9t\'e9.\
\f1 Deux \uc0\u9731 .\
\pard\tx20
\ls1\ilvl0\cf0 {\listtext	\uc0\u8226 	}un\
{\listtext	1.	}deux\
}"""
    assert rtf.text(content) == "Le délai est l\u2019été.\n\nDeux ☃.\n\n- un\n1. deux"


def test_a_document_of_libreoffice_is_read() -> None:
    """LibreOffice's form is read: styles in ignorable groups, and numbers beside its letters."""
    content = rb"""{\rtf1\ansi\deff4\adeflang1025
{\fonttbl{\f0\froman\fprq2\fcharset0 Times New Roman;}{\f4\fnil\fprq0\fcharset128 Liberation;}}
{\stylesheet{\s0\snext0 Default Paragraph Style;}{\*\cs15\snext15 Bullets;}}
{\*\generator LibreOffice/7.4}{\info{\creatim\yr2026}}{\*\userprops}\deftab709
{\*\pgdsctbl{\pgdsc0 Default;}}\formshade{\*\pgdscno0}\paperh16838\sectunlocked1
\pard\plain \s0\rtlch \ltrch\loch \hich\af4\loch\fs24\f4\loch
\u201\'3fl\u233\'3fphant\par
\pard\plain \s0 {\loch D\u38\'26 D}{\rtlch \ltrch\loch \line suite}\par }"""
    assert rtf.text(content) == "Éléphant\n\nD& D\nsuite"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param(rb"{\rtf1 a{b{c", "abc", id="groups without ends"),
        pytest.param(rb"{\rtf1 a}}}} b", "a", id="more ends than groups"),
        pytest.param(rb"{\rtf1 a \bin99999999 b}", "a", id="binary data beyond the end"),
        pytest.param(rb"{\rtf1 a \bin-5 b}", "a b", id="binary data of a negative length"),
        pytest.param(rb"{\rtf1 a\'zz b\'4", "azz b4", id="codes that are none"),
        pytest.param(rb"{\rtf1 a \cell b \row c \par}", "a\n\nb c", id="cells without a table"),
        pytest.param(rb"{\rtf1 \u99999999 ?a}", "a", id="a number beyond Unicode"),
        pytest.param(rb"{\rtf1\f\fs\uc\u ?a}", "\ufffda", id="words without numbers"),
        pytest.param(b"{\\rtf1 a\\", "a", id="a backslash at the end"),
    ],
)
def test_what_is_wrong_is_passed_over(content: bytes, text: str) -> None:
    """Faults in a document cost no more than what they stand in."""
    assert rtf.text(content) == text
