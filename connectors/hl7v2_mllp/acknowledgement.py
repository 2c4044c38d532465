"""The answer to a message: MSH, MSA, and ERR when it is not positive. In the sender's own delimiters and character set.

HL7 v2.5.1 chapter 2.9 (original and enhanced mode), 2.15.8 (MSA), 2.15.5 (ERR). The message's control id is echoed byte for
byte, also when nothing else of the message can be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from connectors.hl7v2_mllp.header import Header

DEFAULT = Header((b"MSH", b"|", b"^~\\&"))
CONDITIONS = frozenset({b"AL", b"NE", b"ER", b"SU"})  # HL7 table 0155; an analyzer's MSH-16 = 0 is not one


class Outcome(Enum):
    """Original mode code, enhanced mode code, HL7 table 0357 code and its text."""

    ACCEPTED = ("AA", "CA", "0", "Message accepted")
    ERROR = ("AE", "CE", "207", "Application internal error")  # ours: send it again later
    REJECTED = ("AR", "CR", "100", "Segment sequence error")  # the message's: sending it again changes nothing


@dataclass(frozen=True, slots=True)
class Answer:
    outcome: Outcome
    text: str = ""  # ASCII; no patient data
    error: tuple[str, str] | None = None  # another row of HL7 table 0357


def _due(condition: bytes, outcome: Outcome) -> bool:
    """HL7 table 0155: always, never, on error, on success."""
    positive = outcome is Outcome.ACCEPTED
    return condition == b"AL" or (condition == b"ER" and not positive) or (condition == b"SU" and positive)


def acknowledgement_code(header: Header, outcome: Outcome) -> str | None:
    """AA … in original mode; in enhanced mode CA … as MSH-15 asks, else AA … as MSH-16 asks. None: no answer is wanted."""
    accept, application = header[15], header[16]
    if accept not in CONDITIONS and application not in CONDITIONS:
        return outcome.value[0]
    if _due(accept, outcome):
        return outcome.value[1]
    return outcome.value[0] if _due(application, outcome) else None


def acknowledge(header: Header | None, answer: Answer, *, now: datetime, control_id: str) -> bytes | None:
    """The bytes of the answer, unframed; None when the sender asked for none."""
    to = header or DEFAULT
    code = acknowledgement_code(to, answer.outcome)
    if code is None:
        return None
    sep, comp = to.separator, to.component
    trigger = to.part(9, 2)
    kind = comp.join([b"ACK", trigger, b"ACK"]) if trigger else b"ACK"
    stamp = now.strftime("%Y%m%d%H%M%S%z").encode()
    msh = [
        b"MSH",
        to[2] or b"^~\\&",
        to[5],
        to[6],
        to[3],
        to[4],
        stamp,
        b"",
        kind,
        control_id.encode(),
        to[11] or b"P",
        to[12] or b"2.5",
    ]
    if to[18]:
        msh += [b""] * 5 + [to[18]]
    text = answer.text.replace("|", " ").encode("ascii", "replace")
    segments = [sep.join(msh), sep.join([b"MSA", code.encode(), to[10], text]).rstrip(sep)]
    if answer.outcome is not Outcome.ACCEPTED:
        number, name = answer.error or answer.outcome.value[2:]
        condition = comp.join([number.encode(), name.encode(), b"HL70357"])
        segments.append(sep.join([b"ERR", b"", b"", condition, b"E", b"", b"", text, text]))
    return b"\r".join(segments) + b"\r"
