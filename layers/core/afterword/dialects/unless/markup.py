"""Messages as HTML: paragraphs, line breaks, bold words and links, and nothing that a text brings.

All of a text is escaped. So no tag in it, a model's or a visitor's, reaches a page. `to_text` makes
the text again, for a model.
"""

import re
from html import escape, unescape

_ADDRESS = r"https?://[A-Za-z0-9][^\s()<>\[\]\"]{0,2000}"
_LINK = rf"\[(?P<label>[^\[\]\n]{{1,300}})\]\((?P<target>{_ADDRESS})\)|(?P<address>{_ADDRESS})"
_BOLD = r"\*\*(?P<bold>[^*]{1,500})\*\*"
_BOLD_WORDS = re.compile(_BOLD)
_LINKS = re.compile(_LINK)
_MARKS = re.compile(rf"{_BOLD}|{_LINK}")
_PUNCTUATION = ".,;:!?'*_"
"""Signs that end a sentence, and no address."""
_TOKEN = re.compile(r"<(/?[A-Za-z][A-Za-z0-9]*+)([^<>]*+)>|([^<]++|<)")
"""A tag, by its name and its attributes, or a text."""
_HREF = re.compile(r"\shref=[\"']([^\"']+)")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_EMPTY_LINES = re.compile(r"\n{3,}")
_SIGNS = {
    **dict.fromkeys(("strong", "/strong", "b", "/b"), "**"),
    **dict.fromkeys(("/p", "/div", "/ul", "/ol", *(f"/h{n}" for n in range(1, 7))), "\n\n"),
    "br": "\n",
    "li": "\n- ",
}
"""The Markdown of tags; other tags have none."""


def to_html(text: str) -> str:
    """Return a message of Markdown as HTML; links lead to `http` and `https` alone."""
    paragraphs: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.strip():
            paragraphs[-1].append(_mark_up(line.strip(), _MARKS))
        elif paragraphs[-1]:
            paragraphs.append([])
    return "".join(f"<p>{'<br>'.join(lines)}</p>" for lines in paragraphs if lines)


def to_text(message: str) -> str:
    """Return a message of HTML as Markdown; of unknown tags the text alone.

    A message that does not begin and end with a tag is no HTML, and stays as it is.
    """
    html = message.strip()
    if not (html.startswith("<") and html.endswith(">") and html[1].isalpha()):
        return message
    parts: list[str] = []
    link: tuple[int, str] | None = None
    for tag, attributes, text in _TOKEN.findall(html):
        name = tag.lower()
        if text:
            parts.append(_ENTITY.sub(lambda found: unescape(found[0]), text))
        elif name == "a":
            href = _HREF.search(attributes)
            link = None if href is None else (len(parts), unescape(href[1]))
        elif name == "/a" and link is not None:
            start, address = link
            label = "".join(parts[start:])
            parts[start:] = [label if label == address else f"[{label}]({address})"]
            link = None
        else:
            parts.append(_SIGNS.get(name, ""))
    return _EMPTY_LINES.sub("\n\n", "".join(parts)).strip()


def _mark_up(line: str, marks: re.Pattern[str]) -> str:
    """Return a line with its links, and with its bold words where they are among the marks."""
    parts: list[str] = []
    at = 0
    while found := marks.search(line, at):
        parts.append(escape(line[at : found.start()]))
        at = found.end()
        part = found.groupdict()
        if part.get("bold"):
            parts.append(f"<strong>{_mark_up(part['bold'], _LINKS)}</strong>")
        elif part["label"]:
            label = _BOLD_WORDS.sub(r"<strong>\1</strong>", escape(part["label"]))
            parts.append(_write_link(part["target"], label))
        else:
            address = part["address"].rstrip(_PUNCTUATION)
            at = found.start() + len(address)
            parts.append(_write_link(address, escape(address)))
    return "".join((*parts, escape(line[at:])))


def _write_link(address: str, label: str) -> str:
    return f'<a href="{escape(address)}" rel="nofollow noopener noreferrer">{label}</a>'
