"""Modality → the storage classes that its images come in, for archives that answer no SOPClassUID (DCMTK's, many old ones).

https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_B.5.html
"""

from __future__ import annotations

_BASE = "1.2.840.10008.5.1.4.1.1."


def _classes(*tails: str) -> frozenset[str]:
    return frozenset(_BASE + tail for tail in tails)


_SECONDARY = ("7", "7.2", "7.4")  # Secondary Capture, multi-frame grayscale and colour

BY_MODALITY: dict[str, frozenset[str]] = {
    "CT": _classes("2", "2.1", "7", "88.67", "66.4"),
    "MR": _classes("4", "4.1", "4.2", "7", "66.4"),
    "CR": _classes("1", "1.1", "7"),
    "DX": _classes("1.1", "1.1.1", "1", "7"),
    "MG": _classes("1.2", "1.2.1", "13.1.3", "1", "7"),
    "IO": _classes("1.3", "1.3.1", "7"),
    "US": _classes("6.1", "3.1", "6", "3", "7", "88.34"),
    "IVUS": _classes("6.1", "3.1"),
    "XA": _classes("12.1", "12.1.1", "7", "88.67"),
    "RF": _classes("12.2", "12.2.1", "1.1", "7", "88.67"),
    "NM": _classes("20", "7"),
    "PT": _classes("128", "130", "7", "20"),
    "ES": _classes("77.1.1", "77.1.1.1", *_SECONDARY),
    "GM": _classes("77.1.2", *_SECONDARY),
    "SM": _classes("77.1.6", "77.1.3"),
    "XC": _classes("77.1.4", "77.1.4.1", *_SECONDARY),
    "OP": _classes("77.1.5.1", "77.1.5.2", *_SECONDARY),
    "OT": _classes(*_SECONDARY, "1", "104.1"),
    "SC": _classes(*_SECONDARY),
    "ECG": _classes("9.1.1", "9.1.2", "9.1.3", "104.1", "7"),
    "SR": _classes("88.11", "88.22", "88.33", "88.34", "88.67", "88.65"),
    "KO": _classes("88.59"),
    "PR": _classes("11.1", "11.2", "11.3", "11.4"),
    "DOC": _classes("104.1", "104.2"),
    "SEG": _classes("66.4", "66.5"),
    "RTIMAGE": _classes("481.1"),
    "RTDOSE": _classes("481.2"),
    "RTSTRUCT": _classes("481.3"),
    "RTPLAN": _classes("481.5", "481.8"),
}
UNKNOWN = _classes("2", "4", "1", "1.1", "6.1", "7", "104.1")
"""Where the archive states no modality either."""
