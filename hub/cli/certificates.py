"""A certificate's last day, from its PEM file. X.509: RFC 5280 4.1; DER: X.690 8.1."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

SEQUENCE, UTC_TIME, GENERALIZED_TIME, VERSION = 0x30, 0x17, 0x18, 0xA0
LARGEST = 1 << 20
END = "-----END CERTIFICATE-----"


def expires(path: Path) -> datetime:
    """When the first certificate of the file ends (UTC). Raise ValueError if there is none, OSError if it cannot be read."""
    with path.open(encoding="ascii", errors="replace") as file:
        text = file.read(LARGEST)
    begin = text.find("-----BEGIN CERTIFICATE-----")
    if begin < 0 or END not in text[begin:]:
        raise ValueError("no certificate in PEM")
    der = ssl.PEM_cert_to_DER_cert(text[begin : text.index(END, begin) + len(END)])
    try:
        return _not_after(der)
    except IndexError:
        raise ValueError("not a certificate") from None


def _not_after(der: bytes) -> datetime:
    _, certificate, _ = _element(der, 0)
    _, signed, _ = _element(certificate, 0)
    tag, _, after = _element(signed, 0)
    place = after if tag == VERSION else 0
    for _ in range(3):  # serialNumber, signature, issuer
        _, _, place = _element(signed, place)
    tag, validity, _ = _element(signed, place)
    if tag != SEQUENCE:
        raise ValueError("not a certificate")
    _, _, place = _element(validity, 0)
    tag, moment, _ = _element(validity, place)
    if tag not in (UTC_TIME, GENERALIZED_TIME):
        raise ValueError("not a certificate")
    text = moment.decode("ascii", "replace")
    if tag == UTC_TIME:  # RFC 5280 4.1.2.5.1: 50 and later are of the twentieth century
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _element(data: bytes, place: int) -> tuple[int, bytes, int]:
    """Tag, content and where the next one begins."""
    tag, length, begin = data[place], data[place + 1], place + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(data[begin : begin + size], "big")
        begin += size
    if begin + length > len(data):
        raise ValueError("not a certificate")
    return tag, data[begin : begin + length], begin + length
