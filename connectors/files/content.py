"""What a file is, by its first bytes and never by its name: an .xml may hold HL7 v2, a .txt a clinical document."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from zipfile import BadZipFile, ZipFile

from lxml import etree

from connectors.charset import behind_mark, fitting

HEAD = 4096
DEEP = 64  # elements before an envelope's own document begins

# The document element, or one inside an envelope → kind
ROOTS = {
    "ClinicalDocument": "cda",
    "AnnotatedECG": "ecg",
    "restingecgdata": "ecg",  # Philips
    "RestingECG": "ecg",  # GE MUSE
    "CardiologyXML": "ecg",  # GE
    "ECGReport": "ecg",
}
# (first byte, bytes) → kind
MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (128, b"DICM", "dicom"),
    (16, b"SCPECG", "ecg"),  # EN 1064: the id in section 0's header
    (0, b"ISHNE1.0", "ecg"),
    (0, b"@  MFR ", "ecg"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old-office"),
)
HL7 = re.compile(rb"[\s\x0b]*(?:MSH|FHS|BHS)([^\w\s])[^\w\s]{2,5}", re.ASCII)
# A data set without preamble begins with group 0002 or 0008, its elements with a VR or, implicit, a short length
BARE_DICOM = re.compile(rb"[\x02\x08]\x00[\x00-\x20]\x00(?:[A-Z]{2}|[\x00-\x80]\x00\x00\x00)", re.DOTALL)


def kind_of(content: bytes) -> str:
    """cda, hl7v2, ecg, dicom, application/pdf, image/…, workbook, archive, old-office, text; "" for what we do not know."""
    for start, magic, kind in MAGIC:
        if content[start : start + len(magic)] == magic:
            return kind
    if BARE_DICOM.match(content):
        return "dicom"
    if b"%PDF-" in content[:1024]:
        return "application/pdf"
    if content[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _zipped(content)
    bare = content.removeprefix(b"\xef\xbb\xbf")
    if HL7.match(bare[:HEAD]):
        return "hl7v2"
    if bare[:HEAD].lstrip()[:1] == b"<" or content[:4] in (b"\xff\xfe<\x00", b"\xfe\xff\x00<"):
        return _xml(content)
    return "text" if _is_text(content) else ""


def _zipped(content: bytes) -> str:
    try:
        with ZipFile(BytesIO(content)) as archive:
            names = archive.namelist()[:10_000]
    except (BadZipFile, ValueError, NotImplementedError):
        return ""
    return "workbook" if "[Content_Types].xml" in names and any(name.startswith("xl/") for name in names) else "archive"


def _xml(content: bytes) -> str:
    """By the first known element: some systems wrap a document into an envelope of their own, or into a SOAP body."""
    parser = etree.XMLPullParser(events=("start",), resolve_entities=False, no_network=True, recover=True, huge_tree=False)
    seen = 0
    for start in range(0, min(len(content), 1024 * 1024), HEAD):
        try:
            parser.feed(_declared(content[start : start + HEAD], first=start == 0))
        except etree.XMLSyntaxError:
            break
        for _, element in parser.read_events():
            tag = element.tag if isinstance(element, etree._Element) else ""
            name = tag.rpartition("}")[2] if isinstance(tag, str) else ""
            if name in ROOTS:
                return ROOTS[name]
            seen += 1
        if seen > DEEP:
            break
    return "cda" if b"ClinicalDocument" in content[: 1024 * 1024] else ""


def _declared(chunk: bytes, *, first: bool) -> bytes:
    """Without a declared GB18030, which the parser may not know: only names of elements matter here, and they are ASCII."""
    if not first or chunk[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return chunk
    return re.sub(rb"^\s*(?:\xef\xbb\xbf)?\s*<\?xml[^>]{0,200}\?>", b"<?xml version='1.0' encoding='iso-8859-1'?>", chunk)


def _is_text(content: bytes) -> bool:
    if behind_mark(content) is not None:
        return True
    head = content[:HEAD]
    return not any(byte < 32 and byte not in (9, 10, 13, 26) for byte in head)


def text_of(content: bytes, declared: str = "") -> tuple[str, str]:
    """A text file's letters and the character set used: a mark at its beginning, else strict UTF-8, else GB18030.

    What fits none keeps U+FFFD for the bytes that do not: the caller refuses those lines alone.
    """
    if (marked := behind_mark(content)) is not None:
        return marked[0].decode(marked[1], "replace"), marked[1]
    attempts = [name for name in (declared, "utf-8", "gb18030") if name]
    if (found := fitting(content, attempts)) is not None:
        return found
    count: Callable[[str], int] = lambda charset: content.decode(charset, "replace").count("�")  # noqa: E731
    best = min(attempts, key=count)
    return content.decode(best, "replace"), best
