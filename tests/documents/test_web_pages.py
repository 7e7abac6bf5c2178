"""The text of HTML pages, and of the texts that are taken as they are."""

import pytest

from afterword.files import media_types
from afterword.generations import FailedError, Reason
from afterword_documents.extraction import extract


def read(page: str) -> str:
    """Return an HTML page's text."""
    return extract(media_types.HTML, page.encode(), 20)


@pytest.mark.parametrize(
    ("page", "text"),
    [
        pytest.param(
            "<!doctype html><html><head><title>L\u2019été</title><style>p{color:red}</style>"
            "<script>let a = '<p>no</p>';</script></head><body><h2>Une <i>façade</i></h2>"
            "<p>First\n   line<br>second &amp; last</p><p>Next <a href='https://x'>link</a></p>"
            "<template>no</template><svg><title>no</title></svg>Fin</body></html>",
            "# L\u2019été\n\n## Une façade\n\nFirst line\nsecond & last\n\nNext link\n\nFin",
            id="a page",
        ),
        pytest.param(
            "<ul><li>one<li>two<ol><li>a<li>b</ol><li><p>three</p></ul>",
            "- one\n- two\n  1. a\n  2. b\n- three",
            id="lists",
        ),
        pytest.param(
            "<table><tr><th>A<th>B<tr><td>1<td>2 <b>3</b></table>after",
            "| A | B |\n| 1 | 2 3 |\n\nafter",
            id="a table without ends",
        ),
        pytest.param(
            "<table><tr><td><table><tr><td><p>Hello</p><p>there</p></td></tr></table></td></tr>"
            "<tr><td></td><td>Bye</td></tr></table>",
            "Hello\n\nthere\n\nBye",
            id="tables for the layout's sake",
        ),
        pytest.param(
            "<pre>a  b\n  c</pre><img src=x alt='A chart'>", "a  b\n  c\n\nA chart", id="as it is"
        ),
        pytest.param("<p>one</table></td></li></ul></pre>two", "one\n\ntwo", id="stray ends"),
        pytest.param("<div>a < b && c", "a < b && c", id="no tag"),
    ],
)
def test_a_page_is_read_as_it_is_seen(page: str, text: str) -> None:
    """The text has what a reader sees, with headings, lists and tables marked as in Markdown."""
    assert read(page) == text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<ol start=3><li>a<li>b<li value=9>c<li>d</ol>", "3. a\n4. b\n9. c\n10. d"),
        ("<ol start='-1'><li>a<li>b</ol><ol start=x><li value>c</ol>", "-1. a\n0. b\n1. c"),
        ("<ul start=3><li value=4>a</ul>", "- a"),
        (f"<ol start={'9' * 5_000}><li>a</ol>", "1. a"),
    ],
)
def test_lists_begin_where_they_say(page: str, text: str) -> None:
    """A list has its own start, and an item its own number."""
    assert read(page) == text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        pytest.param("<p>a<svg><path><p>b", "a\n\nb", id="a paragraph"),
        pytest.param("<div><svg><g></div>b", "b", id="the end of what it is in"),
        pytest.param("<a href=x><svg><use/></a>b", "b", id="the end of a link"),
        pytest.param("<svg><text>no</text></svg>b", "b", id="closed"),
        pytest.param("<svg/>b", "b", id="closed at once"),
        pytest.param("<svg><svg/><g/></svg>b", "b", id="closed within"),
        pytest.param("<svg><font color=red>b", "b", id="a font with a colour"),
        pytest.param("<svg><font x=y>no</font></svg>b", "b", id="a font of SVG"),
        pytest.param("<svg><foreignObject><p>no</p></foreignObject></svg>b", "b", id="HTML in SVG"),
        pytest.param("<svg><title>no</svg>b", "b", id="a title without an end"),
        pytest.param("<svg><style>p{}</style></svg>b", "b", id="a style in a picture"),
        pytest.param("<svg><style>p{}<p>b", "b", id="a style without an end"),
        pytest.param("<svg></p>b", "b", id="the end of a paragraph"),
        pytest.param("<svg></unknown>no</svg>b", "b", id="an end of nothing"),
        pytest.param("<math><mi>x</mi><mo>=</mo><mn>2</mn></math>", "x=2", id="a formula"),
        pytest.param(
            "<math><semantics><mi>x</mi><annotation>\\no</annotation></semantics></math>b",
            "xb",
            id="the source of a formula",
        ),
        pytest.param(
            "<math>\n <mi>y</mi> <mo>=</mo>\n <mfrac><mrow><mi>a</mi><mo>+</mo><mn>1</mn></mrow>"
            " <msup><mi>x</mi><mn>2</mn></msup></mfrac></math> m",
            "y=(a+1)/(x^2) m",
            id="a fraction",
        ),
        pytest.param(
            "<math><msqrt><mn>2</mn><mspace/><mi>x</mi></msqrt><mroot><mi>x</mi><mn>3</mn></mroot>"
            "<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup></math>",
            "√2x3√xx_i^2",
            id="roots",
        ),
        pytest.param(
            "<math><mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>2</mn></mtd></mtr>"
            "<mtr><mtd><mtext>a b</mtext></mtd></mtr></mtable></math>",
            "[1, 2; a b]",
            id="a matrix",
        ),
        pytest.param("<math><mfrac><mn>1<td>b", "1/\n\nb", id="a cell after a formula"),
        pytest.param("<math><mfrac></mrow></math>b</math>c", "/bc", id="ends of nothing"),
        pytest.param("<math>" + "<mrow>" * 900 + "x" + "</mrow>" * 900 + "y", "xy", id="depth"),
        pytest.param("<math><mi>x<annotation>no<p>b", "x\n\nb", id="a formula without an end"),
        pytest.param(
            "<math><annotation-xml><p>no</annotation-xml></math>b", "b", id="HTML in a formula"
        ),
    ],
)
def test_a_page_goes_on_after_pictures_and_formulas_without_ends(page: str, text: str) -> None:
    """A start tag of HTML ends a picture, as in browsers; its own texts are left out."""
    assert read(page) == text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        pytest.param(
            "<ruby>親<rp>(</rp><rt>おや</rt><rp>)</rp></ruby>が", "親が", id="parentheses"
        ),
        pytest.param("<ruby>漢<rt>かん</rt>字<rt>じ</rt></ruby>を", "漢字を", id="two"),
        pytest.param("<ruby>漢<rt>かん字を<p>b", "漢\n\nb", id="without ends"),
        pytest.param("<ruby><rb>漢<rb>字<rt>かん<rt>じ</ruby>を", "漢字を", id="bases first"),
        pytest.param("<ruby>漢字<rtc><rt>a</rt></rtc></ruby>を", "漢字を", id="a container"),
        pytest.param("<ruby>WHO<rt>World  Health</rt></ruby>.", "WHO (World Health).", id="words"),
        pytest.param("<ruby>WHO<rp>(<rt>World<rp>)</ruby>.", "WHO (World).", id="words, no ends"),
        pytest.param("<rt>a</rt><p>b", "a\n\nb", id="no ruby"),
    ],
)
def test_readings_of_characters_are_left_out(page: str, text: str) -> None:
    """Readings above East Asian characters are dropped; explanations of words are kept."""
    assert read(page) == text


PAGE = "<!doctype html><html><body><p>Hello</p></body></html>"


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("\ufeff\n\n", ""),
        ("<!-- a --> <!-- <html> -->\n", ""),
        ("<?xml version='1.0'?>\n<?xml-stylesheet href='a'?>\n<!-- b -->", ""),
        ("<!--" + "a" * 3_000 + "-->", ""),
        ("HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", ""),
        (
            "Notice: Undefined index: id in /var/www/index.php on line 5\n",
            "Notice: Undefined index",
        ),
        ("<br />\n<b>Warning</b>: no\n", "Warning: no"),
        ("Connected.", "Connected."),
    ],
)
def test_a_page_is_one_whatever_stands_before_it(before: str, text: str) -> None:
    """Comments, instructions, headers and a server's messages make no text of a page."""
    content = (before + PAGE).encode()
    assert media_types.detect(content) == media_types.HTML
    assert extract(media_types.HTML, content, 20).startswith(text)
    assert extract(media_types.HTML, content, 20).endswith("Hello")


@pytest.mark.parametrize(
    "text",
    [
        "# Pages\n\n```html\n<!doctype html><html></html>\n```\n\nThat is all.\n",
        "A page begins with <!doctype html> and ends with </html>.\n" + "Text. " * 2_000,
        "Write `<html>` first.",
    ],
)
def test_a_text_about_pages_is_none(text: str) -> None:
    """A text that has a page in it is not one."""
    assert media_types.detect(text.encode()) != media_types.HTML


def test_a_deep_page_is_read() -> None:
    """Elements nested tens of thousands deep are no problem."""
    assert read("<table><tr><td><div>" * 20_000 + "deep") == "deep"


def test_a_page_without_text_is_refused() -> None:
    """A page that shows nothing fails and says so."""
    with pytest.raises(FailedError, match="The document has no text in it") as caught:
        read("<html><script>let a = 1;</script></html>")
    assert caught.value.reason is Reason.UNREADABLE_FILE


TEXT_TYPES = sorted(media_types.TEXTS - {media_types.HTML})


@pytest.mark.parametrize("media_type", TEXT_TYPES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_text_is_taken_as_it_is(media_type: str, encoding: str) -> None:
    """Plain text, Markdown, CSV and JSON reach the model unchanged, however they are encoded."""
    text = 'nom;été\n"a";1\n\n# x\n'
    assert extract(media_type, text.encode(encoding), 5) == text


def test_a_page_in_utf_16_is_read() -> None:
    """A page's encoding makes no difference."""
    assert extract(media_types.HTML, "<p>L\u2019été</p>".encode("utf-16"), 20) == "L\u2019été"


def test_the_longest_text_is_taken() -> None:
    """A million characters are taken, and one more is not."""
    assert len(extract(media_types.TEXT, b"a" * 1_000_000, 5)) == 1_000_000
    with pytest.raises(FailedError, match="more than 1,000,000 characters") as caught:
        extract(media_types.TEXT, b"a" * 1_000_001, 5)
    assert caught.value.reason is Reason.TOO_LONG


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The document is empty: send one with text."),
        (b" \n\t", "The document has no text in it"),
        (b"\xef\xbb\xbf\x01", "The document has no text in it"),
        (bytes(20), "The document has no text in it"),
    ],
)
def test_what_is_no_text_is_refused(content: bytes, message: str) -> None:
    """A text without characters, or with bytes that are none, fails and says so."""
    with pytest.raises(FailedError, match=message) as caught:
        extract(media_types.TEXT, content, 5)
    assert caught.value.reason is Reason.UNREADABLE_FILE
