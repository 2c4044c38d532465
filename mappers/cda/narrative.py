"""Section.text → Narrative.div. https://hl7.org/fhir/R4/narrative.html

The narrative is rebuilt from a table of what each CDA element becomes; then an HTML cleaner with an allow-list of its own sees it
once more, for the pages that show it trust it.
"""

from __future__ import annotations

from html import escape

import nh3
from lxml import etree
from lxml import html as lxml_html

from connectors.xml import Element
from mappers.cda.reader import attribute, local

XHTML = "http://www.w3.org/1999/xhtml"
# Narrative block of CDA → XHTML. What is not here gives its text only; what HIDES gives nothing.
BECOMES = {
    "table": "table", "thead": "thead", "tbody": "tbody", "tfoot": "tfoot", "tr": "tr", "td": "td", "th": "th",
    "paragraph": "p", "p": "p", "item": "li", "content": "span", "caption": "b", "br": "br", "sub": "sub", "sup": "sup",
    "ul": "ul", "ol": "ol", "li": "li", "b": "b", "i": "i", "div": "div", "span": "span",
}  # fmt: skip
HIDES = frozenset({"script", "style", "renderMultiMedia", "object", "iframe", "svg", "math"})
SPANS = ("colspan", "rowspan")
TAGS = set(BECOMES.values())
ATTRIBUTES = {"td": set(SPANS), "th": set(SPANS)}
MAX_TEXT = 1_000_000


def _open(element: Element) -> str:
    name = local(element)
    if name == "list":
        return "ol" if attribute(element, "listType") == "ordered" else "ul"
    return BECOMES.get(name, "")


def _html(element: Element) -> str:
    if not isinstance(element.tag, str) or local(element) in HIDES:
        return ""
    inside = escape(element.text or "", quote=False) + "".join(_html(e) + escape(e.tail or "", quote=False) for e in element)
    tag = _open(element)
    if not tag:
        return inside
    if tag == "br":
        return "<br>"
    spans = "".join(f' {name}="{value}"' for name in SPANS if (value := attribute(element, name)).isdecimal() and len(value) < 4)
    return f"<{tag}{spans if tag in ('td', 'th') else ''}>{inside}</{tag}>"


def _div(markup: str) -> str | None:
    """Clean markup → an XHTML div as FHIR writes it; None when it says nothing."""
    clean = nh3.clean(markup[:MAX_TEXT], tags=TAGS, attributes=ATTRIBUTES, link_rel=None)
    if not clean.strip():
        return None
    root = lxml_html.fragment_fromstring(clean, create_parent="div")
    if not "".join(str(text) for text in root.itertext()).strip():
        return None
    root.set("xmlns", XHTML)
    return str(etree.tostring(root, method="xml", encoding="unicode"))


def div_from_text(text: Element | None, further: list[tuple[str, str]] | None = None) -> str | None:
    """The text as XHTML; `further`: labels and values of entries that it leaves out, below it."""
    if text is None:
        return None
    own = escape(text.text or "", quote=False) + "".join(_html(e) + escape(e.tail or "", quote=False) for e in text)
    return _div(own + _paragraphs(further or []))


def div_from_lines(lines: list[tuple[str, str]]) -> str | None:
    """Labels and values of coded entries as paragraphs."""
    return _div(_paragraphs(lines))


def _paragraphs(lines: list[tuple[str, str]]) -> str:
    return "".join(f"<p>{f'<b>{escape(label)}</b>：' if label else ''}{escape(value)}</p>" for label, value in lines if value)
