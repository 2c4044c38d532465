"""What a message is: its kind, its own number, and who is answered for it. HL7 V3 Transmission Wrapper (MCCI), CDA R2."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from connectors.soap.actions import known_action
from connectors.xml import NotXml, attribute, child, local, read_xml

MESSAGE_ROOT, INTERACTION_ROOT, DEVICE_ROOT = "2.16.156.10011.2.5.1.1", "2.16.156.10011.2.5.1.2", "2.16.156.10011.2.5.1.3"
ACKNOWLEDGEMENT = "MCCI_IN000002UV01"


@dataclass(frozen=True, slots=True)
class Payload:
    kind: str  # cda, hl7v3/PatientInfoRegister, or hl7v3 with the interaction of an action that is not known
    id: str  # of the message: what its acknowledgement repeats
    key: str  # by which the journal knows it
    sender: str = ""  # a device's id
    receiver: str = ""


def payload_of(action: str, message: str) -> Payload:
    """Raise NotXml for what is no XML."""
    root = read_xml(message)
    name, digest = local(root), hashlib.sha256(message.encode()).hexdigest()[:16]
    if name == "ClinicalDocument":
        id = attribute(child(root, "id"), "extension") or attribute(child(root, "id"), "root")
        return Payload("cda", id, f"{id or name}#{digest}")
    id = attribute(child(root, "id"), "extension") or attribute(child(root, "id"), "root")
    interaction = attribute(child(root, "interactionId"), "extension") or name
    kind = f"hl7v3/{known_action(action) or _token(action) or _token(interaction)}"
    return Payload(kind, id, f"{id or interaction}#{digest}", _device(root, "sender"), _device(root, "receiver"))


def _token(text: str) -> str:
    return "".join(each for each in text if each.isascii() and (each.isalnum() or each in "_-"))[:64]


def _device(root: object, role: str) -> str:
    id = child(root, role, "device", "id")  # type: ignore[arg-type]
    item = child(id, "item")
    return attribute(item if item is not None else id, "extension")


def acknowledgement(payload: Payload | None, code: str, text: str, *, id: str, now: str) -> str:
    """MCCI_IN000002UV01 with AA, AE or AR. `now`: YYYYMMDDhhmmss."""
    target = payload.id if payload else ""
    to, by = (payload.sender, payload.receiver) if payload else ("", "")
    answered = f'<targetMessage><id root="{MESSAGE_ROOT}" extension={quoteattr(target)}/></targetMessage>'
    return (
        f'<{ACKNOWLEDGEMENT} xmlns="urn:hl7-org:v3" ITSVersion="XML_1.0">'
        f'<id root="{MESSAGE_ROOT}" extension={quoteattr(id)}/><creationTime value="{now}"/>'
        f'<interactionId root="{INTERACTION_ROOT}" extension="{ACKNOWLEDGEMENT}"/>'
        '<processingCode code="P"/><processingModeCode/><acceptAckCode code="NE"/>'
        f"{_party('receiver', 'RCV', to)}{_party('sender', 'SND', by)}"
        f'<acknowledgement typeCode="{code}">{answered}'
        f"<acknowledgementDetail><text value={quoteattr(text)}/></acknowledgementDetail></acknowledgement></{ACKNOWLEDGEMENT}>"
    )


def _party(role: str, code: str, extension: str) -> str:
    item = f'<item root="{DEVICE_ROOT}" extension={quoteattr(extension)}/>'
    return f'<{role} typeCode="{code}"><device classCode="DEV" determinerCode="INSTANCE"><id>{item}</id></device></{role}>'


def read_acknowledgement(message: str) -> tuple[str, str, str]:
    """Code, id of the message that it answers, text. Raise NotXml; ("", "", "") for what is none."""
    root = read_xml(message)
    said = child(root, "acknowledgement")
    if said is None:
        return "", "", ""
    text = child(said, "acknowledgementDetail", "text")
    told = attribute(text, "value") or ((text.text or "").strip() if text is not None else "")
    return attribute(said, "typeCode"), attribute(child(said, "targetMessage", "id"), "extension"), told


__all__ = ["NotXml", "Payload", "acknowledgement", "payload_of", "read_acknowledgement"]
