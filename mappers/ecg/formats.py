"""The formats an ECG comes in, told apart by content, behind one interface: bytes → Ecg.

Another reader (an extra) is another line of FORMATS.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mappers.ecg.aecg import ecg_from_aecg
from mappers.ecg.dicom_waveform import ecg_from_dicom
from mappers.ecg.edf import ecg_from_edf, is_edf
from mappers.ecg.model import Ecg, EcgError
from mappers.ecg.scp import ecg_from_scp, is_scp
from mappers.ecg.sierra import NAMESPACE as SIERRA
from mappers.ecg.sierra import ecg_from_sierra

_ROOT = re.compile(r"<(?:[\w.\-]+:)?([A-Za-z][\w.\-]*)[\s>/]")


class Reader(Protocol):
    def __call__(self, content: bytes, *, charset: str, zone: str) -> Ecg:
        """Raise EcgError where the bytes hold no waveform that can be read."""


@dataclass(frozen=True, slots=True)
class Format:
    name: str  # "SCP-ECG"
    content_type: str
    recognises: Callable[[bytes], bool]
    read: Reader


def _xml_root(content: bytes) -> str:
    """The name of the first element, without parsing: 16 KB are enough for any prologue."""
    head = content[:16384]
    codec = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(head[:2], "latin-1")
    text = re.sub(r"<!--.*?-->", "", head.decode(codec, "replace"), flags=re.DOTALL)
    found = _ROOT.search(text)
    return found[1] if found else ""


FORMATS = (
    Format(
        "DICOM",
        "application/dicom",
        lambda content: content[128:132] == b"DICM",
        lambda content, *, charset, zone: ecg_from_dicom(content, charset=charset, zone=zone),
    ),
    Format(
        "SCP-ECG",
        "application/x-scp-ecg",
        is_scp,
        lambda content, *, charset, zone: ecg_from_scp(content, charset=charset, zone=zone),
    ),
    Format(
        "HL7 aECG",
        "application/xml",
        lambda content: _xml_root(content) == "AnnotatedECG",
        lambda content, *, charset, zone: ecg_from_aecg(content, zone=zone),  # noqa: ARG005  XML states its own
    ),
    Format(
        "Philips Sierra XML",
        "application/xml",
        lambda content: _xml_root(content) == "restingecgdata" and SIERRA.encode() in content[:4096].replace(b"\0", b""),
        lambda content, *, charset, zone: ecg_from_sierra(content, zone=zone),  # noqa: ARG005
    ),
    Format("EDF", "application/edf", is_edf, lambda content, *, charset, zone: ecg_from_edf(content, charset=charset, zone=zone)),
)


def format_of(content: bytes) -> Format | None:
    return next((each for each in FORMATS if each.recognises(content)), None)


def read_ecg(content: bytes, *, charset: str = "", zone: str = "+08:00") -> Ecg:
    """An ECG of any format that is known. Raise EcgError if it is none of them or cannot be read."""
    found = format_of(content)
    if found is None:
        raise EcgError(f"none of {', '.join(each.name for each in FORMATS)}")
    return found.read(content, charset=charset, zone=zone)
