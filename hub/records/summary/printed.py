"""A summary on paper: the same sections as A4 pages in PDF, made without a browser.

Chinese is set in the standard font of PDF's Asian font packs, which a viewer brings: nothing is embedded, and a character outside
UCS-2 cannot be set. A county that prints such names gives a TrueType font (`[records] print_font`), which is embedded as far as
it is used.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

from hub.records.summary.gather import Filled, Gathered
from hub.records.summary.narrative import Facility, person_lines, remark, rows
from hub.records.summary.words import Language, word

CID_FONT, OWN_FONT = "STSong-Light", "hub-print"
SMALL, BODY, HEAD, TITLE = 7.5, 9, 11.5, 15  # points
MARGIN = 42
_loading = threading.Lock()  # the library's list of fonts is one for the process


def pdf(gathered: Gathered, facility: Facility, language: Language, *, made: str, printed_by: str, font_file: str = "") -> bytes:
    """A4, with whose it is, when it was made and by whom on every page."""
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer

    font = _font(font_file)
    styles = {size: _style(font, size) for size in (SMALL, BODY, HEAD, TITLE)}
    lines = [*person_lines(gathered.subject.resource, language), (word("made", language), made)]
    story: list[Any] = [Paragraph(_text(word("title", language)), styles[TITLE]), Spacer(1, 4)]
    story.append(Paragraph(_text("　".join(f"{name}：{said}" for name, said in lines)), styles[BODY]))
    story.append(Paragraph(_text(word("intro", language)), styles[SMALL]))
    for filled in gathered.sections:
        if filled.records or filled.section.standing != "optional":
            story += _section(filled, facility, language, styles)
    output = BytesIO()
    told = f"{word('printed', language)}：{printed_by}　{made}"
    footer = _Footer(font, told, language)
    paper = SimpleDocTemplate(output, leftMargin=MARGIN, rightMargin=MARGIN, topMargin=MARGIN, bottomMargin=MARGIN,
                              title=word("title", language), author="Yitong Hub")  # fmt: skip
    paper.build(story, onFirstPage=footer, onLaterPages=footer)
    return output.getvalue()


class _Footer:
    def __init__(self, font: str, told: str, language: Language) -> None:
        self._font, self._told, self._language = font, told, language

    def __call__(self, canvas: Any, paper: Any) -> None:
        canvas.setFont(self._font, SMALL)
        canvas.drawString(MARGIN, MARGIN / 2, self._told)
        canvas.drawRightString(paper.pagesize[0] - MARGIN, MARGIN / 2, f"{paper.page}")


def _section(filled: Filled, facility: Facility, language: Language, styles: dict[float, Any]) -> list[Any]:
    from reportlab.platypus import Paragraph, Spacer

    parts: list[Any] = [Spacer(1, 8), Paragraph(_text(word(filled.section.key, language)), styles[HEAD]), Spacer(1, 2)]
    if filled.records:
        headings = [word(name, language) for name in filled.section.columns]
        parts.append(_table([headings, *rows(filled, facility, language)], styles))
    if said := remark(filled, language):
        parts.append(Paragraph(_text(said), styles[BODY]))
    return parts


def _table(lines: Sequence[Sequence[str]], styles: dict[float, Any]) -> Any:
    from reportlab.lib.colors import HexColor
    from reportlab.platypus import Paragraph, Table

    cells = [[Paragraph(_text(cell), styles[BODY if number else SMALL]) for cell in line] for number, line in enumerate(lines)]
    width = 595 - 2 * MARGIN
    shares = {4: (0.32, 0.36, 0.14, 0.18), 5: (0.28, 0.24, 0.16, 0.14, 0.18)}[len(lines[0])]
    table = Table(cells, colWidths=[width * share for share in shares], repeatRows=1)
    line = HexColor("#c9d3da")
    table.setStyle(
        [("LINEBELOW", (0, 0), (-1, -1), 0.5, line), ("VALIGN", (0, 0), (-1, -1), "TOP"), ("PADDING", (0, 0), (-1, -1), 2)]
    )
    return table


def _style(font: str, size: float) -> Any:
    from reportlab.lib.styles import ParagraphStyle

    return ParagraphStyle(f"s{size}", fontName=font, fontSize=size, leading=size * 1.4, wordWrap="CJK")


def _font(file: str) -> str:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.ttfonts import TTFont

    name = OWN_FONT if file else CID_FONT
    with _loading:
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(OWN_FONT, file) if file else UnicodeCIDFont(CID_FONT))
    return name


def _text(text: str) -> str:
    """As the library's own markup: nothing of a record is read as a tag."""
    return escape("".join(c if c in "\t\n" or c >= " " else " " for c in text))
