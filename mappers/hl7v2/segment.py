"""One segment: its fields as they came, deeper levels only when asked for, and which of them somebody asked for."""

from __future__ import annotations

from collections.abc import Iterator

from mappers.base import CannotMap
from mappers.hl7v2.delimiters import Encoding, unescape

NULL = '""'  # "delete what you hold"; an empty field says nothing
DELIMITED = frozenset({"MSH", "FHS", "BHS"})  # begin with the delimiters themselves
MAX_REPETITIONS = 10_000  # more than any source sends; beyond it a message is an attack on memory or time


class Segment:
    """One segment. `segment[5]` is the raw field, `segment.value(5, 1, 2)` an unescaped part of its first repetition.

    Fields, components, subcomponents and repetitions count from 1, as the standard counts them.
    """

    __slots__ = ("_encoding", "_line", "_split", "fields", "ignored", "name", "number", "read", "refused")

    def __init__(self, encoding: Encoding, line: str, fields: list[str], name: str, number: int) -> None:
        self._encoding = encoding  # not the message: a circle would keep every message until the collector comes
        self._line = line
        self.fields = fields  # fields[0] is the name
        self._split: tuple[int, list[str]] | None = None  # the repeating field read last
        self.name = name
        self.number = number  # among the segments of its name, from 1
        self.read = 0  # bit n: someone asked for field n
        self.refused = 0  # bit n: what field n holds could not be used, and an issue says so
        self.ignored = 0  # bit n: a declared table says that field n means nothing to FHIR

    @property
    def where(self) -> str:
        return f"{self.name}[{self.number}]"

    def __len__(self) -> int:
        return len(self.fields) - 1

    def __getitem__(self, field: int) -> str:
        return self._raw(field)

    def _raw(self, field: int) -> str:
        self.read |= 1 << field
        return self.fields[field] if field < len(self.fields) else ""

    def has(self, field: int) -> bool:
        """Whether the field states something, be it a deletion. Does not count as reading it."""
        return field < len(self.fields) and self.fields[field].strip() != ""

    def deleted(self, field: int) -> bool:
        """Whether the field holds "" : what is there is to be deleted."""
        fields = self.fields
        if field >= len(fields) or not (raw := fields[field].strip()):
            return False
        self.read |= 1 << field
        return raw == NULL

    def count(self, field: int) -> int:
        """How often the field repeats. Raise CannotMap beyond MAX_REPETITIONS."""
        self.read |= 1 << field
        fields = self.fields
        if field >= len(fields) or not (raw := fields[field]):
            return 0
        repeats = raw.count(self._encoding.delimiters.repetition) + 1
        if repeats > MAX_REPETITIONS:
            raise CannotMap(f"{self.where}-{field}: more than {MAX_REPETITIONS} repetitions")
        return repeats

    def repetitions(self, field: int) -> list[str]:
        """Raw repetitions that are not empty."""
        raw = self[field]
        return [part for part in raw.split(self._encoding.delimiters.repetition) if part.strip()] if raw else []

    def components(self, field: int, repetition: int = 1) -> list[str]:
        """Unescaped components, subcomponents and all, of one repetition."""
        raw = self._repetition(field, repetition)
        return [self.plain(part) for part in raw.split(self._encoding.delimiters.component)] if raw else []

    def parts(self, field: int, size: int, repetition: int = 1) -> list[str]:
        """The first `size` components of a repetition, each as `value` gives it; shorter ones are filled up with ""."""
        raw = self._repetition(field, repetition)
        if not raw:
            return [""] * size
        delimiters = self._encoding.delimiters
        sub = delimiters.subcomponent
        found = [
            self.plain(part.split(sub, 1)[0] if sub in part else part) for part in raw.split(delimiters.component, size)[:size]
        ]
        return found if len(found) == size else found + [""] * (size - len(found))

    def value(self, field: int, component: int = 1, subcomponent: int = 1, repetition: int = 1) -> str:
        """One unescaped value without the spaces around it; "" when absent, empty or deleted."""
        fields = self.fields
        if field >= len(fields) or not (raw := fields[field]):
            return ""
        self.read |= 1 << field
        encoding = self._encoding
        if raw.isalnum() and not encoding.odd:  # no delimiter, no space: most fields of most messages
            return raw if component == subcomponent == repetition == 1 else ""
        _, between, again, escape, within = encoding.delimiters
        if again in raw:
            raw = self._repetition(field, repetition)
        elif repetition > 1:
            return ""
        if between in raw:
            parts = raw.split(between, component)  # what lies behind the component is not cut
            raw = parts[component - 1] if component <= len(parts) else ""
        elif component > 1:
            return ""
        if within in raw:
            parts = raw.split(within)
            raw = parts[subcomponent - 1] if subcomponent <= len(parts) else ""
        elif subcomponent > 1:
            return ""
        return self.plain(raw) if escape in raw or '"' in raw else raw.strip()

    def text(self, field: int, repetition: int = 1) -> str:
        """The whole repetition as text: for ST, TX and FT, whose senders forget to escape ^ and &."""
        return self.plain(self._repetition(field, repetition), strip=False).rstrip()

    def whole(self, field: int) -> str:
        """The field as one text, repetition separators and all: for a field that cannot repeat, as 3.5~5.1 in OBX-7."""
        return self.plain(self[field], strip=False).rstrip()

    def plain(self, raw: str, *, strip: bool = True) -> str:
        """Unescape a raw part."""
        if raw[:1] == '"' and raw.strip() == NULL:
            return ""
        encoding = self._encoding
        text = unescape(raw, encoding.delimiters, encoding.charset) if encoding.delimiters.escape in raw else raw
        return text.strip() if strip else text

    def stated(self) -> Iterator[int]:
        """Numbers of the fields that are not empty; MSH-1 and MSH-2 say how, not what."""
        first = 3 if self.name in DELIMITED else 1
        return (number for number in range(first, len(self.fields)) if self.fields[number].strip())

    def stated_bits(self) -> int:
        """The same as bits: bit n is field n."""
        bits, bit = 0, 1
        for text in self.fields:
            if text and not text.isspace():
                bits |= bit
            bit <<= 1
        return bits & (-8 if self.name in DELIMITED else -2)

    def cells(self) -> dict[str, str]:
        """What the first repetition of each field states: "3" its first component, "3.2" its second. Not counted as reading."""
        delimiters, cells = self._encoding.delimiters, dict[str, str]()
        for field in self.stated():
            parts = self.fields[field].split(delimiters.repetition, 1)[0].split(delimiters.component)
            values = [self.plain(part.split(delimiters.subcomponent, 1)[0]) for part in parts]
            cells |= {f"{field}.{place}": value for place, value in enumerate(values, 1) if value}
            cells |= {str(field): values[0]} if values[0] else {}
        return cells

    def _repetition(self, field: int, repetition: int) -> str:
        raw = self._raw(field)
        separator = self._encoding.delimiters.repetition
        if separator not in raw or (field == 2 and self.name == "MSH"):
            return raw if repetition == 1 else ""
        if self._split is None or self._split[0] != field:
            self._split = (field, raw.split(separator, MAX_REPETITIONS))
        parts = self._split[1]
        return parts[repetition - 1] if repetition <= len(parts) else ""

    def unread_parts(self, field: int) -> tuple[int, ...]:  # noqa: ARG002
        """Components of the field that nobody asked for; only a segment that is traced knows them."""
        return ()

    def __str__(self) -> str:
        """The segment as it came."""
        return self._line


class TracedSegment(Segment):
    """Remembers the components that were asked for, for the person who looks; the stream does without."""

    __slots__ = ("_asked",)

    def __init__(self, encoding: Encoding, line: str, fields: list[str], name: str, number: int) -> None:
        super().__init__(encoding, line, fields, name, number)
        self._asked: set[tuple[int, int]] = set()  # (field, component); component 0: all of it

    def __getitem__(self, field: int) -> str:
        self._asked.add((field, 0))
        return super().__getitem__(field)

    def components(self, field: int, repetition: int = 1) -> list[str]:
        self._asked.add((field, 0))
        return super().components(field, repetition)

    def parts(self, field: int, size: int, repetition: int = 1) -> list[str]:
        self._asked.update((field, component) for component in range(1, size + 1))
        return super().parts(field, size, repetition)

    def value(self, field: int, component: int = 1, subcomponent: int = 1, repetition: int = 1) -> str:
        self._asked.add((field, component))
        return super().value(field, component, subcomponent, repetition)

    def text(self, field: int, repetition: int = 1) -> str:
        self._asked.add((field, 0))
        return super().text(field, repetition)

    def unread_parts(self, field: int) -> tuple[int, ...]:
        if (field, 0) in self._asked:
            return ()
        delimiters = self._encoding.delimiters
        repetitions = (part.split(delimiters.component) for part in self.fields[field].split(delimiters.repetition))
        stated = {
            place for parts in repetitions for place, part in enumerate(parts, 1) if part.strip(f" {delimiters.subcomponent}")
        }
        return tuple(sorted(stated - {component for asked, component in self._asked if asked == field}))
