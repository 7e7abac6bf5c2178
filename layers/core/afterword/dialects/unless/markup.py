"""Messages as HTML: paragraphs, line breaks, bold words and links, and nothing that a text brings.

All of a text is escaped. So no tag in it, a model's or a visitor's, reaches a page.
"""

import re
from html import escape

_ADDRESS = r"https?://[A-Za-z0-9][^\s()<>\[\]\"]{0,2000}"
_LINK = re.compile(rf"\[([^\[\]\n]{{1,300}})\]\(({_ADDRESS})\)|({_ADDRESS})")
_BOLD = re.compile(r"\*\*([^*]{1,500})\*\*")
_PUNCTUATION = ".,;:!?'*_"
"""Signs that end a sentence, and no address."""


def to_html(text: str) -> str:
    """Return a message of Markdown as HTML; links lead to `http` and `https` alone."""
    paragraphs: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.strip():
            paragraphs[-1].append(_mark_up(line.strip()))
        elif paragraphs[-1]:
            paragraphs.append([])
    return "".join(f"<p>{'<br>'.join(lines)}</p>" for lines in paragraphs if lines)


def _mark_up(line: str) -> str:
    parts: list[str] = []
    at = 0
    for found in _LINK.finditer(line):
        parts.append(_mark_up_words(line[at : found.start()]))
        address = found[2] or found[3].rstrip(_PUNCTUATION)
        at = found.end() if found[2] else found.start() + len(address)
        label = escape(found[1] or address)
        parts.append(f'<a href="{escape(address)}" rel="nofollow noopener noreferrer">{label}</a>')
    return "".join((*parts, _mark_up_words(line[at:])))


def _mark_up_words(text: str) -> str:
    return _BOLD.sub(r"<strong>\1</strong>", escape(text))
