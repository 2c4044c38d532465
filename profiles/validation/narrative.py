"""Narrative.div: XHTML of the elements and attributes that R4 allows, with something to read in it (txt-1, txt-2).

https://hl7.org/fhir/R4/narrative.html#xhtml. A narrative is shown to people: what may run in a browser has no place in one.
"""

from __future__ import annotations

import re

from lxml import etree

XHTML = "{http://www.w3.org/1999/xhtml}"
_ELEMENTS = """
    a abbr acronym b big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i img li ol p pre q
    samp small span strong sub sup table tbody td tfoot th thead tr tt ul var
"""
_ATTRIBUTES = """
    abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff cite class colspan dir
    frame headers height href hreflang id lang longdesc name nowrap rel rev rowspan rules scope span src start style summary
    tabindex title type valign value width xml:lang xml:space
"""
ELEMENTS, ATTRIBUTES = frozenset(_ELEMENTS.split()), frozenset(_ATTRIBUTES.split())
_ignored = re.compile(r"[\x00-\x20\x7f-\xa0]")  # by a browser that reads an address
_RUNS = re.compile(r"([a-z][a-z+.\-]*:)*(javascript|vbscript|livescript|data):(?!(?<=data:)image/(?!svg))", re.I).match
"""A program, or a document that may hold one; of data only a picture is none, unless it is SVG."""
_STYLE_RUNS = re.compile(r"expression\s*\(|(java|vb)script\s*:|behaviou?r\s*:|-moz-binding|@import|\\", re.I).search
LINKS = frozenset({"href", "src", "cite", "longdesc"})
TAGS = frozenset(XHTML + name for name in ELEMENTS)


def narrative_fault(text: str) -> tuple[str, str] | None:
    """(rule, what is wrong), or None."""
    if "<!" in text.replace("<!--", "").replace("<![CDATA[", ""):
        return "txt-1", "a narrative has no document type and no entities of its own"
    if "<?" in text:
        return "txt-1", "a narrative has no processing instructions"
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, huge_tree=False)
    try:
        root = etree.fromstring(text.encode(), parser)
    except (etree.XMLSyntaxError, ValueError):
        return "txt-1", "the narrative is not well-formed XHTML"
    return _of_tree(root)


def _of_tree(root: etree._Element) -> tuple[str, str] | None:
    if root.tag != f"{XHTML}div":
        return "txt-1", "a narrative is one div in the namespace of XHTML"
    tags = set()
    for element in root.iter():
        tags.add(element.tag)
        if element.keys() and (fault := _of_attributes(element)):
            return "txt-1", fault
    if not TAGS.issuperset(tags):
        return "txt-1", "the narrative has an element that R4 does not allow"
    readable = f"{XHTML}img" in tags or any(not text.isspace() for text in root.itertext())
    return None if readable else ("txt-2", "the narrative has nothing to read in it")


def _of_attributes(element: etree._Element) -> str:
    for name, value in element.attrib.items():
        local = str(name).replace("{http://www.w3.org/XML/1998/namespace}", "xml:")
        if local not in ATTRIBUTES:
            return "the narrative has an attribute that R4 does not allow"
        if local in LINKS and _RUNS(_ignored.sub("", str(value))):
            return "the narrative has a link that runs a program"
        if local == "style" and _STYLE_RUNS(str(value)):
            return "the narrative has a style that runs a program or reads another"
    return ""
