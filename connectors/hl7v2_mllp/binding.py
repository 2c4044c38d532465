"""Who may speak for which facility: MSH-4 and the assigning authorities of patient numbers, against what the sender has proved.

A client certificate is bound to one facility. Whoever shows it may name only that facility in MSH-4 and as the authority that gave
a patient's number: otherwise one hospital's interface could write another one's patients. HL7 v2.5.1 2.15.9.4 (MSH-4), 2.A.14 (CX).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from connectors.hl7v2_mllp.header import Header, read_header

NATIONAL = ("CN", "CHN", "PRC")
NATIONAL_TYPES = frozenset({"NI", "SS", "PPN", "DL", "ID", "IDCARD", "HC", "JHN"})  # HL7 table 0203; NNxxx as well
NUMBERS = {"PID": (2, 3, 4), "MRG": (1, 4)}  # the patient's, and those of the record that is merged


@dataclass(frozen=True, slots=True)
class Senders:
    """`facilities`: a name in MSH-4 or PID-3.4 → facility code; a name that is not in it is a code."""

    facilities: Mapping[str, str] = field(default_factory=dict)
    accept: frozenset[str] = frozenset()
    authorities: frozenset[str] = frozenset(NATIONAL)

    def facility_of(self, name: str) -> str:
        return self.facilities.get(name, name)

    def refusal(self, text: str, bound: str) -> str:
        """Why this message may not come from here, "" if it may; `bound`: the facility that its sender has proved to be."""
        header = read_header(text.encode())
        if header is None:
            return ""  # whose it is cannot be told: it is kept for a person, and mapped by nobody
        sender = header.part(4, 1).decode()
        if self.accept and sender not in self.accept:
            return "MSH-4 is not bound to this channel"
        if not bound:
            return ""
        if sender and self.facility_of(sender) != bound:
            return "MSH-4 is another facility than the sender is bound to"
        for authority, kind in _assigned(text, header):
            foreign = self.facility_of(authority) != bound and authority not in self.authorities
            if foreign and kind not in NATIONAL_TYPES and not kind.startswith("NN"):
                return "a patient number's assigning authority is another than the facility that the sender is bound to"
        return ""


def sender_of(text: str) -> str:
    """MSH-4.1 as decoded: a facility may write its name, and a second byte of GBK may be a delimiter."""
    header = read_header(text.encode())
    return header.part(4, 1).decode() if header else ""


def _assigned(text: str, header: Header) -> Iterator[tuple[str, str]]:
    """(assigning authority, identifier type) of every number of a patient that names an authority.

    Wherever in a line the segment stands: a mapper sets right what a lost segment break has glued.
    """
    component = header.component.decode(errors="replace")
    characters = header[2].decode(errors="replace").ljust(4)
    repetition, sub = characters[1].strip() or "~", characters[3].strip() or "&"
    separator = header.separator.decode(errors="replace")
    for match in re.finditer(rf"(?<![A-Za-z])(PID|MRG){re.escape(separator)}([^\r\n]*)", text):
        fields = match[2].split(separator)
        for place in NUMBERS[match[1]]:
            for number in fields[place - 1].split(repetition) if len(fields) >= place else ():
                parts = [part.strip() for part in number.split(component)]
                authority = parts[3].split(sub)[0].strip() if len(parts) > 3 else ""
                if authority:
                    yield authority, parts[4].upper() if len(parts) > 4 else ""
