"""过敏史 → AllergyIntolerance: only a named substance, or a plain no. Prose stays in the narrative."""

from __future__ import annotations

import re
from typing import Any

from mappers.cda.document import Document, coding
from mappers.cda.entries import Statement, first
from mappers.cda.values import boolean, concept
from mappers.identity_keys import resource_id

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
FLAG, TEXTS = "DE02.10.023", ("DE05.01.022", "DE02.10.022", "DE02.10.024")
NONE = frozenset({"无", "否认", "无过敏史", "未发现", "否", "无药物过敏史", "否认药物过敏史"})
SUBSTANCE = re.compile(r"(?:患者)?(?:有)?(?:对)?(?P<name>[^，。；：:（()）]{1,20}?)(?:类药物)?(?:过敏史?)?")
UNSURE = ("描述", "不详", "未知", "。", "可疑", "既往", "曾")
WHERE = "section 48765-2"


def state_allergies(document: Document) -> None:
    found = [statement for section in document.sections for statement in section.every()]
    flag, words = first(found, FLAG), first(found, *TEXTS)
    if words is not None and words.code == "DE02.10.024" and "过敏" not in words.label:
        words = None  # the catalogue has this code for a relationship, one vendor for allergies
    text = (words.text if words else "").strip()
    denied = (flag is not None and boolean(flag.value or flag.coded) is False) or text in NONE
    if denied and text and text not in NONE and not text.startswith(("无", "否认")):
        document.note("conflict", WHERE, "the flag says no allergy and the text names one; only the narrative is kept")
        return
    if denied:
        document.use("AllergyIntolerance.code", *(said.element for said in (flag, words) if said))
        code = coding("http://snomed.info/sct", "716186003", "No known allergy") | {"text": "无过敏史"}
        _state(document, words or flag, code, "none")
        return
    _state_substances(document, flag, words, text)


def _state_substances(document: Document, flag: Statement | None, words: Statement | None, text: str) -> None:
    if words is None or not text:
        return
    if words.coded and (code := concept(document, words)):
        _state(document, words, code, words.coded)
    elif substances := _substances(text):
        for name in substances:
            _state(document, words, {"text": name}, name)
    else:
        document.note("not-mapped", WHERE, "an allergy in prose that names no single substance; its narrative is kept")
        return
    document.use("AllergyIntolerance.code", words.element, flag.element if flag else None)


def _substances(text: str) -> list[str]:
    """青霉素、头孢过敏 → 青霉素, 头孢. Longer prose names no substance that a machine could be sure of."""
    bare = text.strip().rstrip("。")
    parts = [part.strip() for part in re.split(r"[、，,;；]|及|和", bare) if part.strip()]
    found = [match["name"].strip() for part in parts if (match := SUBSTANCE.fullmatch(part))]
    return found if len(found) == len(parts) and not any(word in bare for word in UNSURE) else []


def _state(document: Document, said: Statement | None, code: dict[str, Any], key: str) -> None:
    """By patient and substance: many documents state the same allergy."""
    allergy = {
        "resourceType": "AllergyIntolerance",
        "id": resource_id("AllergyIntolerance", *document.patient_key, key),
        "clinicalStatus": coding(f"{TERMINOLOGY}allergyintolerance-clinical", "active"),
        "code": code,
        "patient": document.patient,
    }
    document.add(document.of_document(allergy), at=said.element if said else None)
