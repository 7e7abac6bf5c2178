"""A model's reasoning within its text, which stays private.

Servers without a parser for it leave it in the text: between tags, before a closing tag whose
opening one was in the prompt (DeepSeek's template), or in a channel of its own (gpt-oss).
"""

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from afterword.generations import Completion

_TAG = re.compile(
    r"<(?P<xml>/?)(?:think|thinking|thoughts?|seed:think)"
    r"(?:\s++[\w:-]++\s*+=\s*+(?:\"[^\"<>]*+\"|'[^'<>]*+'|[^\s\"'<>]++))*+\s*>"  # attributes
    r"|\[(?P<mistral>/?)think\]"
    r"|\N{WHITE LEFT-POINTING TRIANGLE}(?P<kimi>/?)think\N{WHITE RIGHT-POINTING TRIANGLE}"
    r"|<\|(?P<word>begin|end)_of_thought\|>",
    re.IGNORECASE,
)
_FINAL = re.compile(r"<\|channel\|>\s*final\b[^<]{0,80}<\|message\|>|assistantfinal")
_CHANNEL = re.compile(
    r"\s*(?:<\|start\|>assistant)?<\|channel\|>|analysis(?=[\s\S]*assistantfinal)"
)
_ENDS = re.compile(r"<\|(?:return|end|call)\|>[\s\S]*\Z")
_OPENINGS = ("<think>", "<thinking>", "<thought>", "[THINK]", "<|channel|>")
_QUOTES = frozenset("`\"'")
_FENCE = "```"


class Separated(NamedTuple):
    """A text without its reasoning.

    - `reasoned` says whether there was any.
    - `unopened` says that it began the text, and that its opening tag is not there.
    """

    text: str
    reasoned: bool
    unopened: bool = False


class ReadAnswer(NamedTuple):
    """A completion, and what its text shows of the model's reasoning.

    `reasons_first` says whether the model's texts begin with reasoning that no tag opens; None
    where the answer shows neither.
    """

    completion: "Completion"
    reasons_first: bool | None


def find_order(separated: Separated, *, free: bool) -> bool | None:
    """Return whether a model's texts begin with reasoning that no tag opens, by one of them.

    None for a text that shows neither: without reasoning, a `free` one alone shows that the model
    has none. A text is free that was neither cut nor bound to a schema.
    """
    if separated.unopened:
        return True
    return False if free and not separated.reasoned and separated.text.strip() else None


def separate_reasoning(text: str) -> Separated:
    """Return a model's text without its reasoning.

    - A block between tags goes, wherever in the text, unless its tags are quoted, or inside a code
      fence.
    - With a closing tag alone, all before it goes.
    - With an opening tag alone at the start of the text, or of a line, all after it goes: an answer
      that was cut while the model reasoned, or that never came.
    """
    if _CHANNEL.match(text):
        return Separated(_final_channel(text), reasoned=True)
    left, unopened = _without_blocks(text)
    if left is not None:
        return Separated(left.lstrip(), reasoned=True, unopened=unopened)
    if _is_cut_opening(text):
        return Separated("", reasoned=True)
    return Separated(text, reasoned=False)


def _final_channel(text: str) -> str:
    """Return the last message of the channel `final`; empty without one."""
    last = None
    for last in _FINAL.finditer(text):  # noqa: B007 - the last one is used
        pass
    return "" if last is None else _ENDS.sub("", text[last.end() :]).strip()


def _without_blocks(text: str) -> tuple[str | None, bool]:
    """Return the text without blocks, None if it has none, and whether the first was unopened."""
    kept: list[str] = []
    found = unopened = False
    at = 0  # the start of the text that is neither kept nor dropped
    opened: re.Match[str] | None = None
    quoted = 0  # blocks that are a part of the text
    fences, counted = 0, 0
    for tag in _TAG.finditer(text):
        if _closes(tag):
            if opened is None and (quoted or _is_quoted(text, tag, both=True)):
                quoted = max(0, quoted - 1)
                continue
            if opened is None:
                kept, unopened = [], unopened or not found
            found, opened, at = True, None, tag.end()
        elif opened is None:
            fences += text.count(_FENCE, max(at, counted), tag.start())
            counted = tag.start()
            if _is_quoted(text, tag, both=True):
                continue
            if fences % 2 or _is_quoted(text, tag, both=False):
                quoted += 1
                continue
            kept.append(text[at : tag.start()])
            opened, at = tag, tag.start()
    if opened is not None and (_is_blank(kept) or _begins_a_line(text, opened)):
        return "".join(kept), unopened
    return ("".join([*kept, text[at:]]) if found else None), unopened


def _closes(tag: re.Match[str]) -> bool:
    return (
        tag["word"] == "end" if tag["word"] else bool(tag["xml"] or tag["mistral"] or tag["kimi"])
    )


def _is_quoted(text: str, tag: re.Match[str], *, both: bool) -> bool:
    """Whether a tag stands in quotes: by the character before it, or by those on both sides."""
    before = text[tag.start() - 1 : tag.start()]
    return before in _QUOTES and (not both or before == text[tag.end() : tag.end() + 1])


def _is_blank(texts: list[str]) -> bool:
    return not any(text.strip() for text in texts)


def _begins_a_line(text: str, tag: re.Match[str]) -> bool:
    return not text[text.rfind("\n", 0, tag.start()) + 1 : tag.start()].strip()


def _is_cut_opening(text: str) -> bool:
    """Whether a text is the beginning of an opening tag: one that was cut inside it."""
    begun = text.strip()
    return len(begun) > 1 and any(tag.startswith(begun) for tag in _OPENINGS)
