"""The answers to a message: MSH, MSA, and ERR when it is not positive. In the sender's own delimiters and character set.

Original mode has one. Enhanced mode has up to two, each a message of its own: the accept acknowledgement (CA …) says that the
message is kept, the application acknowledgement (AA …) that follows it says what original mode would have. The message's control
id is echoed byte for byte, also when nothing else of the message can be read.

HL7 v2.5.1 chapter 2.9 (original and enhanced mode), 2.15.8 (MSA), 2.15.5 (ERR).
"""

from __future__ import annotations

from collections.abc import Iterator
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


def acknowledgement_codes(header: Header, outcome: Outcome) -> tuple[str, ...]:
    """AA … in original mode; in enhanced mode CA … as MSH-15 asks, then AA … as MSH-16 asks. HL7 v2.5.1 2.9.3.

    A message that was told not to be accepted reaches no application, so nothing follows CE or CR.
    """
    accept, application = header[15], header[16]
    original, enhanced = outcome.value[:2]
    if accept not in CONDITIONS and application not in CONDITIONS:
        return (original,)
    if not _due(accept, outcome):
        return (original,) if _due(application, outcome) else ()
    follows = outcome is Outcome.ACCEPTED and _due(application, outcome)
    return (enhanced, original) if follows else (enhanced,)


def acknowledge(header: Header | None, answer: Answer, *, now: datetime, numbers: Iterator[int]) -> list[bytes]:
    """The answers, unframed, in their order; none when the sender asked for none. `numbers` make their control ids differ."""
    to = header or DEFAULT
    stamp = f"{now:%Y%m%d%H%M%S}"
    return [
        _acknowledgement(to, answer, code, now, f"{stamp}{next(numbers)}") for code in acknowledgement_codes(to, answer.outcome)
    ]


def _acknowledgement(to: Header, answer: Answer, code: str, now: datetime, control_id: str) -> bytes:
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
    wanted = [b"NE", b"NE"] if to[15] in CONDITIONS or to[16] in CONDITIONS else [b"", b""]  # no answer to the answer
    msh += [b"", b"", *wanted, b"", to[18]]
    while not msh[-1]:
        msh.pop()
    text = answer.text.replace("|", " ").encode("ascii", "replace")
    segments = [sep.join(msh), sep.join([b"MSA", code.encode(), to[10], text]).rstrip(sep)]
    if answer.outcome is not Outcome.ACCEPTED:
        number, name = answer.error or answer.outcome.value[2:]
        condition = comp.join([number.encode(), name.encode(), b"HL70357"])
        segments.append(sep.join([b"ERR", b"", b"", condition, b"E", b"", b"", text, text]))
    return b"\r".join(segments) + b"\r"
