"""Messages of Unless' dialect as HTML."""

from html.parser import HTMLParser

import pytest

from afterword.dialects.unless import markup
from tests.harness.seeds import SEED_PARAMS, seeded

LINK = '<a href="https://a.example/x?y=1&amp;z" rel="nofollow noopener noreferrer">'
PIECES = (
    "<script>alert(1)</script>", "<img src=x onerror=a>", "</p>", "&lt;", '"', "'", "**", "[", "](",
    ")", "https://", "http://a.example", "javascript:", "data:text/html,", "\n", "\n\n", " ", "a",
    "\u2028", "\x00", "<a href=", "%3Cb%3E", "&#60;", "`",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("", ""),
        ("Hello", "<p>Hello</p>"),
        ("One\ntwo\n\n \nthree\n", "<p>One<br>two</p><p>three</p>"),
        ("**Fees** are *due*", "<p><strong>Fees</strong> are *due*</p>"),
        ("<b>&amp;</b>", "<p>&lt;b&gt;&amp;amp;&lt;/b&gt;</p>"),
        (
            "See [the page](https://a.example/x?y=1&z).",
            f"<p>See {LINK}the page</a>.</p>",
        ),
        (
            "See https://a.example/x?y=1&z!",
            f"<p>See {LINK}https://a.example/x?y=1&amp;z</a>!</p>",
        ),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
        ("[x](//a.example)", "<p>[x](//a.example)</p>"),
        ("https://...", "<p>https://...</p>"),
        (
            '[x](https://a"onclick="b)',
            "<p>[x]("
            + LINK.replace("a.example/x?y=1&amp;z", "a")
            + "https://a</a>&quot;onclick=&quot;b)</p>",
        ),
        ("**" + "a" * 501 + "**", "<p>**" + "a" * 501 + "**</p>"),
        (
            "**[the page](https://a.example/x?y=1&z)**",
            f"<p><strong>{LINK}the page</a></strong></p>",
        ),
        (
            "**See https://a.example/x?y=1&z.** [**Fees**](https://a.example/x?y=1&z)",
            "<p><strong>See "
            + LINK
            + "https://a.example/x?y=1&amp;z</a>.</strong> "
            + LINK
            + "<strong>Fees</strong></a></p>",
        ),
        (
            "https://a.example/x?y=1&z**, **b**",
            f"<p>{LINK}https://a.example/x?y=1&amp;z</a><strong>, </strong>b**</p>",
        ),
    ],
)
def test_a_text_becomes_html(text: str, html: str) -> None:
    """Paragraphs, line breaks, bold words and links are made, and all else is escaped."""
    assert markup.to_html(text) == html


@pytest.mark.parametrize(
    "text",
    [
        "Hello",
        "One\ntwo\n\nthree",
        "**Fees** are *due*, <b>&amp;</b> so on: a < b > c.",
        "See [the page](https://a.example/x?y=1&z).",
        "See https://a.example/x?y=1&z!",
        "**[the page](https://a.example/x)** and [**Fees**](https://a.example/y)",
        "[x](javascript:alert(1))",
        "- one\n- two",
    ],
)
def test_html_becomes_the_text_again(text: str) -> None:
    """The text of a message is the text that the message was made of."""
    assert markup.to_text(markup.to_html(text)) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<div>Our <i>fees</i>:<ul><li>one</li><li>two</li></ul></div>", "Our fees:\n- one\n- two"),
        ("<h2>Fees</h2><P CLASS='x'>are <B>due</B></P>", "Fees\n\nare **due**"),
        ("<p>a&#32;b&#x41;&nosuch;&copy;</p>", "a bA&nosuch;©"),
        ("<p>&#" + "9" * 5_000 + ";</p>", "&#" + "9" * 5_000 + ";"),
        ("<p><a>x</a> <a href=''>y</a> </a>z<a href='https://a'>w</p>", "x y zw"),
        ("<p>a <3 b</p>", "a <3 b"),
        ("<p></p>", ""),
    ],
)
def test_other_html_becomes_text(html: str, text: str) -> None:
    """Of HTML that others have written the text stays, with its lines, bold words and links."""
    assert markup.to_text(html) == text


@pytest.mark.parametrize(
    "text", ["", "a < b", "Is a<b and c>d?", "<3", "**a** &amp; b", "Write <p>a</p>!", "<3 >"]
)
def test_a_text_without_html_stays(text: str) -> None:
    """A message that does not begin and end with a tag is no HTML."""
    assert markup.to_text(text) == text


class Tags(HTMLParser):
    """Reads HTML as a browser does, and checks each tag."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Check that the tag is one of ours, with our attributes alone."""
        assert tag in {"p", "br", "strong", "a"}
        assert [name for name, _ in attrs] == (["href", "rel"] if tag == "a" else [])
        for name, value in attrs:
            assert name != "href" or (value or "").startswith(("http://", "https://"))

    def handle_comment(self, data: str) -> None:
        """Fail for a comment."""
        pytest.fail(data)


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_no_text_brings_a_tag_of_its_own(seed: int) -> None:
    """A browser finds our tags alone in any text, and links to the web alone."""
    random = seeded(seed)
    for _ in range(200):
        html = markup.to_html("".join(random.choices(PIECES, k=random.randint(1, 30))))
        tags = Tags()
        tags.feed(html)
        tags.close()
