"""Searches made by dice, as they would stand in a URL: over the whole query model, for the county of model_world."""

from __future__ import annotations

import json
import random

from tests.contracts.model_world import CODES, LOINC, NAMES, PROFILES, UCUM, ids

Pair = tuple[str, str]

PREFIXES = ("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
DATES = ("2024", "2024-01", "2024-01-05", "2024-01-05T08:30:00+08:00", "2024-01-05T09:00", "2023-12-31")
BIRTHS = ("1970", "1970-03", "1970-03-05", "2001")
TEXTS = (*NAMES, "王", "小明", "mul", "MULLER", "Smith", "jones", "ward", "科", "Etage", "x")
PINYIN = ("zengxiaole", "zxl", "zeng", "qiuying", "oyf", "x")
TOKENS = (*CODES, f"{LOINC}|718-7", f"{LOINC}|", "|718-7", "hb", f"{LOINC}|718-7,2160-0")
AMOUNTS = ("5", "5.4", "5400", "100", "13.5", "135", "50", "0.05")
UNITS = ("", f"|{UCUM}|mmol/L", f"|{UCUM}|umol/L", f"|{UCUM}|g/L", "||mmol/L", "||tabl", f"|{UCUM}|tabl", "|urn:x|g/L")
PLACES = ("31.2|121.5|1|km", "31.2|121.5|6", "31.2|121.5|60|km", "31.2|121.5|4|[mi_us]", "0|0|10000|m", "31.25|121.5")
WORDS = ("cough", "cough fever", "发热", "FIEVRE", "more", "nothing")

# Where references lead: (type, parameter, type it leads to).
EDGES = (
    ("Observation", "subject", "Patient"),
    ("Observation", "subject", "Location"),
    ("Observation", "patient", "Patient"),
    ("Observation", "encounter", "Encounter"),
    ("Observation", "has-member", "Observation"),
    ("Encounter", "subject", "Patient"),
    ("Encounter", "location", "Location"),
    ("Encounter", "part-of", "Encounter"),
    ("Encounter", "service-provider", "Organization"),
    ("Patient", "organization", "Organization"),
    ("Location", "partof", "Location"),
    ("Location", "organization", "Organization"),
    ("Organization", "partof", "Organization"),
    ("Condition", "patient", "Patient"),
    ("Condition", "encounter", "Encounter"),
    ("Condition", "evidence-detail", "Observation"),
    ("Encounter", "diagnosis", "Condition"),
)

# Parameters by type: name → (its kind of values, its modifiers).
COMMON = {
    "_id": ("id", ("not",)),
    "_lastUpdated": ("updated", ()),
    "_tag": ("tag", ("not",)),
    "_profile": ("profile", ("above", "below")),
}
COMMON |= {"_text": ("words", ()), "_content": ("words", ())}
STRING = ("text", ("exact", "contains"))
CONCEPT = ("code", ("not", "text"))
PARAMETERS: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    "Organization": {"name": STRING, "active": ("truth", ("not",))},
    "Location": {"name": STRING, "status": ("status", ("not",)), "near": ("near", ())},
    "Patient": {
        "name": STRING,
        "pinyin": ("pinyin", ("contains",)),
        "gender": ("gender", ("not",)),
        "birthdate": ("birth", ()),
        "identifier": ("number", ("not", "of-type", "text")),
    },
    "Encounter": {"status": ("status", ("not",)), "class": ("class", ("not",)), "date": ("date", ())},
    "Observation": {
        "code": CONCEPT,
        "combo-code": CONCEPT,
        "status": ("status", ("not",)),
        "date": ("date", ()),
        "value-quantity": ("quantity", ()),
        "combo-value-quantity": ("quantity", ()),
        "value-string": ("words", ("exact", "contains")),
        "code-value-quantity": ("code-quantity", ()),
        "component-code-value-quantity": ("code-quantity", ()),
        "code-value-date": ("code-date", ()),
    },
    "Condition": {"code": CONCEPT, "clinical-status": ("status", ("not",)), "onset-date": ("date", ())},
}
NO_MISSING = frozenset({"_text", "_content", "near", "code-value-quantity", "component-code-value-quantity", "code-value-date"})
SORTS = {
    "Observation": ("date", "code", "value-quantity", "subject"),
    "Patient": ("name", "birthdate", "gender"),
    "Location": ("name",),
    "Encounter": ("date", "status"),
}
COMPARED = {  # what a _filter compares each kind by
    "text": ("eq", "ne", "co", "sw", "ew"),
    "code": ("eq", "ne"),
    "gender": ("eq", "ne"),
    "date": ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap", "po"),
    "birth": ("eq", "ne", "gt", "le", "po"),
    "quantity": ("eq", "ne", "gt", "lt", "ge", "le"),
    "id": ("eq", "ne"),
    "status": ("eq", "ne"),
}


class Asker:
    """The same dice, the same questions."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self.type = self._dice.choice(list(PARAMETERS))

    def parameters(self) -> list[Pair]:
        pairs = [self._criterion(self.type, 0) for _ in range(self._dice.choice((1, 1, 2, 3)))]
        if self._dice.random() < 0.25:
            pairs.append(("_filter", self._filter(self.type, 0)))
        if self._dice.random() < 0.3:
            pairs.append(("_sort", self._sort()))
        if self._dice.random() < 0.25:
            pairs += [self._include() for _ in range(self._dice.choice((1, 2)))]
        return [*pairs, ("_count", self._dice.choice(("3", "20", "200"))), ("_total", "accurate")]

    def _criterion(self, kind: str, hops: int) -> Pair:
        way = self._dice.random()
        if hops < 3 and way < 0.3:
            _, code, target = self._dice.choice([edge for edge in EDGES if edge[0] == kind])
            name, value = self._criterion(target, hops + 1)
            typed = f"{code}:{target}" if self._dice.random() < 0.8 or name.startswith("_has") else code
            return f"{typed}.{name}", value
        arriving = [edge for edge in EDGES if edge[2] == kind]
        if hops < 3 and way < 0.5 and arriving:
            source, code, _ = self._dice.choice(arriving)
            name, value = self._criterion(source, hops + 1)
            return f"_has:{source}:{code}:{name}", value
        return self._leaf(kind)

    def _leaf(self, kind: str) -> Pair:
        if self._dice.random() < 0.15:
            return self._reference(kind)
        known = {**PARAMETERS[kind], **COMMON}
        name = self._dice.choice([*PARAMETERS[kind], *PARAMETERS[kind], *COMMON])
        values, modifiers = known[name]
        if name not in NO_MISSING and self._dice.random() < 0.1:
            return f"{name}:missing", self._dice.choice(("true", "false"))
        modifier = self._dice.choice(("", "", *modifiers))
        values = {"of-type": "of-type", "text": "words-of-code"}.get(modifier, values)
        value = ",".join(self._value(kind, values) for _ in range(self._dice.choice((1, 1, 2))))
        return f"{name}:{modifier}" if modifier else name, value

    def _reference(self, kind: str) -> Pair:
        _, code, target = self._dice.choice([edge for edge in EDGES if edge[0] == kind])
        if self._dice.random() < 0.3:
            return f"{code}:identifier", self._dice.choice(("urn:x|A", "b", "urn:x|"))
        if self._dice.random() < 0.2:
            return f"{code}:missing", self._dice.choice(("true", "false"))
        identity = self._dice.choice(ids(target))
        return self._dice.choice([(code, f"{target}/{identity}"), (f"{code}:{target}", identity), (code, identity)])

    def _value(self, kind: str, values: str) -> str:
        dice = self._dice
        prefix = dice.choice(PREFIXES)
        match values:
            case "quantity":
                return f"{prefix}{dice.choice(AMOUNTS)}{dice.choice(UNITS)}"
            case "code-quantity":
                return f"{dice.choice(TOKENS[:4])}${prefix}{dice.choice(AMOUNTS)}{dice.choice(UNITS)}"
            case "code-date":
                return f"{dice.choice(TOKENS[:4])}${prefix}{dice.choice(DATES)}"
            case "date":
                return f"{prefix}{dice.choice(DATES)}"
            case "birth":
                return f"{prefix}{dice.choice(BIRTHS)}"
            case "updated":
                return f"{prefix}2023-11-1{dice.randrange(3, 6)}"
            case "id":
                return dice.choice(ids(kind))
        return dice.choice(PLAIN[values])

    # -- _filter
    def _filter(self, kind: str, depth: int) -> str:
        way = self._dice.random()
        if depth < 3 and way < 0.35:
            parts = [self._filter(kind, depth + 1) for _ in range(self._dice.choice((2, 3)))]
            joined = self._dice.choice((" and ", " or ")).join(parts)
            return f"({joined})"
        if depth < 3 and way < 0.45:
            return f"not ({self._filter(kind, depth + 1)})"
        if depth < 3 and way < 0.6:
            _, code, target = self._dice.choice([edge for edge in EDGES if edge[0] == kind])
            inner = f"[{self._filter(target, 3)}]" if self._dice.random() < 0.4 else ""
            return f"{code}:{target}{inner}.{self._compared(target)}"
        return self._compared(kind)

    def _compared(self, kind: str) -> str:
        known = {**PARAMETERS[kind], "_id": COMMON["_id"]}
        name, (values, _) = self._dice.choice([(name, of) for name, of in known.items() if of[0] in COMPARED])
        if self._dice.random() < 0.1:
            return f"{name} pr {self._dice.choice(('true', 'false'))}"
        operator = self._dice.choice(COMPARED[values])
        if values == "quantity":
            return f"{name} {operator} {self._dice.choice(AMOUNTS)}{self._dice.choice(UNITS)}"
        texts = {"date": DATES, "birth": BIRTHS, "id": ids(kind), "code": TOKENS[:6]}.get(values) or PLAIN[values]
        return f"{name} {operator} {json.dumps(self._dice.choice(list(texts)))}"

    # -- the result
    def _sort(self) -> str:
        keys = self._dice.sample(["_id", "_lastUpdated", *SORTS.get(self.type, ())], self._dice.choice((1, 2)))
        return ",".join(self._dice.choice(("", "-")) + key for key in keys)

    def _include(self) -> Pair:
        dice = self._dice
        again = dice.choice(("", "", ":iterate"))
        out = [edge for edge in EDGES if edge[0] == self.type or again]
        into = [edge for edge in EDGES if edge[2] == self.type or again]
        edge = dice.choice(out)
        other = dice.choice(into)
        return dice.choice(
            [
                (f"_include{again}", f"{edge[0]}:{edge[1]}"),
                (f"_include{again}", f"{edge[0]}:{edge[1]}:{edge[2]}"),
                (f"_include{again}", f"{edge[0]}:*"),
                (f"_include{again}", "*"),
                (f"_revinclude{again}", f"{other[0]}:{other[1]}"),
                (f"_revinclude{again}", f"{other[0]}:*"),
                ("_revinclude", "*"),
            ]
        )


PLAIN: dict[str, tuple[str, ...]] = {
    "text": TEXTS,
    "pinyin": PINYIN,
    "code": TOKENS,
    "words-of-code": ("hemo", "haemoglobin", "血红", "Hemoglobin [", "card", "x"),
    "of-type": (
        "http://terminology.hl7.org/CodeSystem/v2-0203|MR|a1",
        "http://terminology.hl7.org/CodeSystem/v2-0203|SS|B2",
        "urn:x|MR|A1",
    ),
    "number": ("A1", "urn:mrn|a1", "urn:mrn|", "|A1", "B2"),
    "status": ("final", "active", "finished", "in-progress", "urn:status|active", "x"),
    "gender": ("male", "female", "Male,unknown", "x"),
    "class": ("AMB", "urn:class|imp", "urn:class|"),
    "truth": ("true", "false"),
    "tag": ("x", "urn:tag|y", "urn:tag|"),
    "profile": (*PROFILES, "http://a.cn", "http://a.cn/p/lab"),
    "near": PLACES,
    "words": WORDS,
}
