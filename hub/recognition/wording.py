"""What laboratories and radiology departments write → the few words that the rules compare: specimen, side, contrast, no value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

SPECIMEN_KIND: Mapping[str, str] = {
    "ser": "serum",
    "serum": "serum",
    "119364003": "serum",
    "血清": "serum",
    "plas": "plasma",
    "plasma": "plasma",
    "119361006": "plasma",
    "血浆": "plasma",
    "bld": "blood",
    "wb": "blood",
    "whole blood": "blood",
    "119297000": "blood",
    "全血": "blood",
    "末梢血": "blood",
    "ur": "urine",
    "urine": "urine",
    "122575003": "urine",
    "尿": "urine",
    "尿液": "urine",
    "csf": "csf",
    "脑脊液": "csf",
    "stl": "stool",
    "粪便": "stool",
    "静脉血": "",  # says how it was drawn, not what was measured
    "血液": "",
    "血": "",
}
"""HL7 table 0487, SNOMED CT and the words of laboratories; "" says no more than the item's code does."""
SPECIMEN_ENDS = ("血清", "血浆", "全血")  # EDTA抗凝全血, 肝素抗凝血浆: the tube stands before, the kind last

SIDE: Mapping[str, str] = {
    "l": "L",
    "left": "L",
    "7771000": "L",
    "左": "L",
    "左侧": "L",
    "r": "R",
    "right": "R",
    "24028007": "R",
    "右": "R",
    "右侧": "R",
    "b": "B",
    "both": "B",
    "bilateral": "B",
    "51440002": "B",
    "双": "B",
    "双侧": "B",
}
"""DICOM (0020,0060), SNOMED CT and words."""

CONTRAST: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("with and without contrast", ("without", "with")),
    ("without and with contrast", ("without", "with")),
    ("w/wo", ("without", "with")),
    ("without contrast", ("without",)),
    ("w/o contrast", ("without",)),
    ("non-contrast", ("without",)),
    ("noncontrast", ("without",)),
    ("unenhanced", ("without",)),
    ("非增强", ("without",)),
    ("未增强", ("without",)),
    ("不增强", ("without",)),
    ("无增强", ("without",)),
    ("平扫", ("without",)),
    ("增强", ("with",)),
    ("with contrast", ("with",)),
    ("w/ contrast", ("with",)),
    ("enhanced", ("with",)),
)
"""Words of a study's title, the longer before those that they hold."""

ELSEWHERE = frozenset({"见报告", "详见报告", "见纸质报告", "见报告单", "见附件", "待报", "待回报", "see report", "pending"})
"""Where a value should stand, and what says only that it stands elsewhere, or not yet."""


def specimen_kind(concept: object) -> str:
    """CodeableConcept → serum, plasma, blood …; an unknown word stays as it is, to be shown; "" where it says nothing."""
    if not isinstance(concept, Mapping):
        return ""
    stated: Iterable[str] = [str(c.get(key, "")) for c in concept.get("coding", ()) for key in ("code", "display")]
    words = [word.strip().casefold() for word in [*stated, str(concept.get("text", ""))] if word.strip()]
    known = [SPECIMEN_KIND[word] for word in map(_without_tube, words) if word in SPECIMEN_KIND]
    return next((kind for kind in known if kind), "") if known else (words[-1] if words else "")


def _without_tube(word: str) -> str:
    return next((end for end in SPECIMEN_ENDS if word.endswith(end)), word)


def side_of(word: str) -> str:
    """L, R or B (both); an unknown word stays as it is."""
    return SIDE.get(word.strip().casefold(), word)


def sides_of(study: Mapping[str, Any]) -> tuple[str, ...]:
    """ImagingStudy → the sides that its series show."""
    stated = (series["laterality"] for series in study.get("series", ()) if series.get("laterality"))
    return tuple(dict.fromkeys(side_of(str(side.get("code") or side.get("display") or "")) for side in stated))


def contrast_of(title: str) -> tuple[str, ...]:
    """ "平扫+增强" → without and with; () for a title that says neither."""
    text, found = title.casefold(), dict[str, None]()
    for words, means in CONTRAST:
        if words in text:
            text = text.replace(words, " ")
            found |= dict.fromkeys(means)
    return tuple(sorted(found))


def says_nothing(text: str) -> bool:
    """Of a result in words."""
    return text.strip().casefold() in ELSEWHERE or not text.strip()
