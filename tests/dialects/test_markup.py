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
    ],
)
def test_a_text_becomes_html(text: str, html: str) -> None:
    """Paragraphs, line breaks, bold words and links are made, and all else is escaped."""
    assert markup.to_html(text) == html


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
