"""The text of a PPTX (ECMA-376, PresentationML): the visible slides in order, with their notes."""

from dataclasses import dataclass, field

from afterword_documents.charts import Chart
from afterword_documents.formulas import Formula
from afterword_documents.lines import OFFICE_PARTS, Kind, Lines
from afterword_documents.opc import Attributes, Package, Reader, open_package, with_relationships
from afterword_documents.verdicts import MAX_PARTS, Verdict, VerdictError

_TITLES = {"title", "ctrTitle"}
_BODIES = {"body", "obj", "subTitle"}
_PASSED_OVER = {"sldNum", "dt", "ftr", "hdr", "sldImg"}
"""Placeholders that repeat on every slide, or have no text."""


def text(content: bytes) -> str:
    """Return the slides' text; raise VerdictError."""
    with open_package(content) as package:
        return _text(package)


def _text(package: Package) -> str:
    main = package.main_part("ppt/presentation.xml")
    order = _Order()
    package.parse(main, order, with_relationships)
    relationships = package.relationships(main)
    lines = Lines()
    read: set[str] = set()
    for number, relationship_id in enumerate(order.slides, 1):
        found = relationships.get(relationship_id)
        if found is not None and found.kind == "slide" and found.part not in read:
            read.add(found.part)
            _add_slide(package, found.part, number, lines)
    return lines.text()


def _add_slide(package: Package, part: str, number: int, lines: Lines) -> None:
    slide = _Slide()
    package.parse(part, slide, _local)
    if slide.hidden:
        return
    notes = _Slide(only="body")
    for related in package.relationships(part).values():
        if related.kind == "diagramData" and related.part in package:
            package.parse(related.part, slide)
        elif related.kind == "chart" and related.part in package:
            chart = Chart()
            package.parse(related.part, chart)
            chart.add_to(slide.lines)
        elif related.kind == "notesSlide" and related.part in package:
            package.parse(related.part, notes, _local)
    title = " ".join(" ".join(slide.title).split())
    text = slide.lines.text()
    text_of_notes = notes.lines.text()
    if title or text or text_of_notes:
        lines.add(f"## {title or f'Slide {number}'}")
    lines.add(text)
    lines.add(f"Notes: {text_of_notes}" if text_of_notes else "")


def _local(name: str) -> str:
    """Return a name without its namespace; `m:` stands before those of formulas."""
    namespace, _, own = name.rpartition(" ")
    return f"m:{own}" if namespace.endswith("/math") else own


class _Order(Reader):
    """The slides' relationships, in order."""

    def __init__(self) -> None:
        self.slides: list[str] = []

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "sldId":
            if len(self.slides) == MAX_PARTS:
                raise VerdictError(Verdict.TOO_MANY_PAGES)
            self.slides.append(attributes.get("r:id", ""))


@dataclass(slots=True)
class _Paragraph:
    text: list[str] = field(default_factory=list)
    level: int = 0
    has_mark: bool = False


class _Slide(Reader):
    """The texts of a slide's shapes: of one kind of placeholder `only`, or of all."""

    def __init__(self, only: str = "") -> None:
        self.lines = Lines()
        self.title: list[str] = []
        self.hidden = False
        self._only = only
        self._skipped = 0
        self._placeholder = ""
        self._paragraph: _Paragraph | None = None
        self._formula: Formula | None = None
        self._in_text = False
        self._in_table = 0

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "Fallback":  # another form of what stands before it
            self._skipped += 1
        if self._skipped:
            return
        if name.startswith("m:"):
            self._start_formula(name, attributes)
        elif name in OFFICE_PARTS:
            self._in_table += name == "tbl"
            self.lines.open(OFFICE_PARTS[name])
        elif name == "sld":
            self.hidden = attributes.get("show", "1") in {"0", "false"}
        elif name in {"sp", "graphicFrame", "cxnSp"}:
            self._placeholder = ""
        elif name == "ph":
            self._placeholder = attributes.get("type", "obj")
        elif name == "p":
            is_item = self._placeholder in _BODIES - {"subTitle"} and not self._only
            self._paragraph = _Paragraph(has_mark=is_item and not self._in_table)
        elif self._paragraph is not None:
            self._in_paragraph(self._paragraph, name, attributes)

    def _start_formula(self, name: str, attributes: Attributes) -> None:
        self._in_text = name == "m:t"
        if self._formula is not None:
            self._formula.start(name.removeprefix("m:"), attributes.get("m:val"))
        elif name == "m:oMath" and self._paragraph is not None:
            self._formula = Formula()

    def _end_formula(self, name: str) -> None:
        self._in_text = False
        if self._formula is None:
            return
        if name != "m:oMath":
            self._formula.end()
        elif self._paragraph is not None:
            self._paragraph.text.append(self._formula.text())
            self._formula = None

    def _in_paragraph(self, paragraph: _Paragraph, name: str, attributes: Attributes) -> None:
        match name:
            case "pPr":
                level = attributes.get("lvl", "0")
                paragraph.level = int(level) if level in set("012345678") else 0
            case "buNone":
                paragraph.has_mark = False
            case "buChar" | "buAutoNum" | "buBlip":
                paragraph.has_mark = not self._in_table
            case "t":
                self._in_text = True
            case "br":
                paragraph.text.append("\n")

    def end(self, name: str) -> None:
        if name == "Fallback":
            self._skipped -= 1
        if self._skipped:
            return
        if name.startswith("m:"):
            self._end_formula(name)
        elif name in OFFICE_PARTS:
            self._in_table -= name == "tbl"
            self.lines.close(OFFICE_PARTS[name])
        elif name == "t":
            self._in_text = False
        elif name == "p" and self._paragraph is not None:
            self._end_paragraph(self._paragraph)
            self._paragraph = None
        elif name in {"sp", "graphicFrame", "cxnSp"}:
            self._placeholder = ""

    def _end_paragraph(self, paragraph: _Paragraph) -> None:
        text = "".join(paragraph.text).replace("\v", "\n").strip()
        if self._placeholder in _PASSED_OVER or (self._only and self._placeholder != self._only):
            return
        if self._placeholder in _TITLES:
            self.title.append(text)
        elif paragraph.has_mark and text:
            self.lines.add(f"{'  ' * paragraph.level}- {text}", Kind.ITEM)
        else:
            self.lines.add(text)

    def characters(self, text: str) -> None:
        if not self._in_text:
            return
        if self._formula is not None:
            self._formula.characters(text)
        elif self._paragraph is not None:
            self._paragraph.text.append(text)
