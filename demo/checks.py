"""What the demo looks at, as a client over HTTP: one person of three facilities, her summary, tests being ordered, an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from io import BytesIO
from typing import Any

import httpx
from pydicom import dcmread

from demo import ordering
from demo.people import FACILITIES, Person
from demo.sources import Feed
from demo.story import Visit
from profiles.names import FACILITY_TAG, GOLDEN, HUB_TAG, ID_CARD, LOINC, STORED_OBJECT

POTASSIUM = f"{LOINC}|2823-3"
WHITE_CELLS = f"{LOINC}|6690-2"
PAGES = 200
CHINA = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class Line:
    check: str
    seen: str
    holds: bool


class Client:
    """A FHIR client with one account's token."""

    def __init__(self, url: str, token: str) -> None:
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)

    def get(self, path: str, **parameters: str) -> httpx.Response:
        return self.http.get(path, params=parameters)

    def find(self, resource_type: str, **parameters: str) -> list[dict[str, Any]]:
        """Every match, page by page; asked by POST, for a name in a URL would end in logs."""
        answer = self.http.post(f"/fhir/{resource_type}/_search", data=parameters)
        return list(self._entries(answer))

    def everything(self, patient: str) -> list[dict[str, Any]]:
        return list(self._entries(self.get(f"/fhir/Patient/{patient}/$everything", _count="500")))

    def _entries(self, answer: httpx.Response) -> Iterator[dict[str, Any]]:
        for _ in range(PAGES):
            answer.raise_for_status()
            bundle = answer.json()
            yield from (entry["resource"] for entry in bundle.get("entry", ()))
            following = next((link["url"] for link in bundle.get("link", ()) if link["relation"] == "next"), None)
            if following is None:
                return
            answer = self.http.get(following)


def facility_of(resource: Mapping[str, Any]) -> str:
    return next((t["code"] for t in resource.get("meta", {}).get("tag", ()) if t.get("system") == FACILITY_TAG), "")


def is_golden(resource: Mapping[str, Any]) -> bool:
    return any(t.get("system") == HUB_TAG and t.get("code") == GOLDEN for t in resource.get("meta", {}).get("tag", ()))


def check_county(url: str, tokens: Mapping[str, str], feeds: Sequence[Feed], hero: Person, visits: Sequence[Visit]) -> list[Line]:
    """Every line of the table."""
    admin, township = Client(url, tokens["admin"]), Client(url, tokens["TWP"])
    lines = [_flow(url, tokens["it"], feeds), *_person(township, hero)]
    golden = next((p for p in township.find("Patient", identifier=f"{ID_CARD}|{hero.id_number}") if is_golden(p)), None)
    if golden is None:
        return [*lines, Line("one golden Patient", "there is none", holds=False)]
    record = township.everything(golden["id"])
    lines += [_record(golden, record), _summary(township, golden["id"]), *_recognition(township, golden["id"])]
    lines += [*_ordered(township, admin, golden["id"]), *_objects(township, record)]
    lines += [_hidden(township, admin, visits), _audited(admin, golden["id"])]
    return lines


def _flow(url: str, token: str, feeds: Sequence[Feed]) -> Line:
    answer = Client(url, token).get("/ops/status").json()
    channels = {channel["source"]: channel for channel in answer["channels"]}
    sent, done = sum(f.total for f in feeds), sum(channels[f.source]["done"] for f in feeds)
    dead = sum(channels[f.source]["dead"] for f in feeds)
    return Line("every record sent has its effect", f"{done} of {sent} mapped, {dead} dead", holds=done == sent and not dead)


def _person(client: Client, hero: Person) -> Iterator[Line]:
    ways = (
        ("found by name", {"name": hero.name}, hero.name),
        ("found by pinyin initials", {"phonetic": "zxy"}, "zxy"),
        ("found by ID number", {"identifier": f"{ID_CARD}|{hero.id_number}"}, f"{hero.id_number[:6]}…{hero.id_number[-2:]}"),
    )
    for check, parameters, shown in ways:
        found = client.find("Patient", **parameters)
        at = sorted({facility_of(p) for p in found if hero.name in {n.get("text") for n in p.get("name", ())}} & set(FACILITIES))
        yield Line(check, f"{shown}: known at {', '.join(at)}", holds=at == sorted(FACILITIES))


def _record(golden: Mapping[str, Any], record: Sequence[Mapping[str, Any]]) -> Line:
    kinds = Counter(r["resourceType"] for r in record)
    wanted = ("Encounter", "Observation", "ImagingStudy", "DiagnosticReport", "DocumentReference", "Condition")
    facilities = {facility_of(r) for r in record if r["resourceType"] == "Encounter"}
    seen = f"{len(golden.get('link', ()))} linked, " + ", ".join(f"{kinds[k]} {k}" for k in wanted)
    holds = len(golden.get("link", ())) == len(FACILITIES) and all(kinds[k] for k in wanted) and facilities == set(FACILITIES)
    return Line("one record of three facilities", seen, holds)


def _summary(client: Client, person: str) -> Line:
    """An International Patient Summary over all her Patients."""
    answer = client.get(f"/fhir/Patient/{person}/$summary")
    document = answer.json() if answer.status_code == httpx.codes.OK else {}
    entries = [entry["resource"] for entry in document.get("entry", ())]
    sections = [section["title"] for section in entries[0].get("section", ())] if entries else []
    seen = f"{len(entries)} resources in {len(sections)} sections: {'、'.join(sections[:4])} …"
    return Line("her summary ($summary, IPS)", seen, holds=document.get("type") == "document" and len(sections) > 2)


def _ordered(township: Client, admin: Client, person: str) -> Iterator[Line]:
    """At order time, by CDS Hooks; then what the measures say of it."""
    cards = ordering.ordered(township.http, person)
    asking = [card for card in cards if card.get("suggestions")]
    seen = asking[0]["summary"] if asking else f"{len(cards)} cards, none to decide on"
    yield Line("TWP signs three tests (CDS Hooks)", seen, holds=bool(asking))
    if not asking:
        return
    status = ordering.answered(township.http, asking)
    found = dict(ordering.measured(admin.http, datetime.now(CHINA).date()))
    rate, refused = found["recognition-rate"], found["recognition-refusals"]["numerator"]
    saved = found["recognition-saved"]["numerator"] / ordering.FEN
    seen = (
        f"{rate['denominator']} prompts: {rate['numerator']} recognised (¥{saved:.2f} saved), {refused} refused, others unanswered"
    )
    right = (rate["numerator"], rate["denominator"], refused) == (1, len(asking), min(1, len(asking) - 1))
    yield Line("her doctor's answers in the measures", seen, holds=status == httpx.codes.OK and right and saved > 0)


def _answer(client: Client, person: str, code: str) -> dict[str, Any]:
    answer = client.get(
        f"/fhir/Patient/{person}/$recognizable-results", code=code, context="outpatient", orderer="Organization/TWP"
    )
    answer.raise_for_status()
    result: dict[str, Any] = answer.json()
    return result


def _parts(parameter: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return [p for p in parameter.get("part", ()) if p["name"] == name]


def _value(parameter: Mapping[str, Any]) -> str:
    return next((str(v) for k, v in parameter.items() if k.startswith("value")), "")


def _recognition(client: Client, person: str) -> Iterator[Line]:
    for code, item, wanted in (
        (POTASSIUM, "potassium", {"recognisable"}),
        (WHITE_CELLS, "white cells", {"reference-only", "none"}),
    ):
        result = next(p for p in _answer(client, person, code)["parameter"] if p["name"] == "result")
        verdict = _value(_parts(result, "verdict")[0])
        candidates = _parts(result, "candidate")
        steps = (
            [(_value(_parts(s, "rule")[0]), _value(_parts(s, "outcome")[0])) for s in _parts(candidates[0], "step")]
            if candidates
            else []
        )
        failed = [rule for rule, outcome in steps if outcome == "fail"]
        reasons = f"fails at {', '.join(failed)}" if failed else f"{sum(o == 'pass' for _, o in steps)} steps pass"
        seen = f"{verdict}: {len(candidates)} earlier, newest {reasons}"
        yield Line(
            f"{item} about to be ordered at TWP",
            seen,
            holds=verdict in wanted and bool(steps) and bool(failed) != (item == "potassium"),
        )


def _objects(client: Client, record: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    for modality, check in (("CT", "image retrieved"), ("ECG", "ECG retrieved")):
        study = next((r for r in record if r["resourceType"] == "ImagingStudy" and modality in _modalities(r)), None)
        reference = _stored(study) if study else ""
        if not reference:
            yield Line(check, "not there", holds=False)
            continue
        answer = client.get(f"/fhir/{reference}")
        seen, holds = _dicom(answer.content) if answer.status_code == httpx.codes.OK else (f"HTTP {answer.status_code}", False)
        yield Line(check, f"{facility_of(study or {})}: {seen}", holds)


def _modalities(study: Mapping[str, Any]) -> set[str]:
    return {m.get("code", "") for m in study.get("modality", ())}


def _stored(study: Mapping[str, Any]) -> str:
    instances = (i for s in study.get("series", ()) for i in s.get("instance", ()))
    extensions = (e for i in instances for e in i.get("extension", ()) if e["url"] == STORED_OBJECT)
    return next((str(e["valueReference"]["reference"]) for e in extensions), "")


def _dicom(content: bytes) -> tuple[str, bool]:
    dataset = dcmread(BytesIO(content))
    if "WaveformSequence" in dataset:
        group = dataset.WaveformSequence[0]
        return f"{group.NumberOfWaveformChannels} leads, {group.SamplingFrequency} Hz", int(group.NumberOfWaveformChannels) == 12
    pixels = dataset.pixel_array
    return f"{pixels.shape[1]} × {pixels.shape[0]} {dataset.Modality}", bool(pixels.any())


def _hidden(township: Client, admin: Client, visits: Sequence[Visit]) -> Line:
    """Somebody the township never saw: its doctor finds nothing, by search and by id."""
    stranger = next(v.person for v in visits if "TWP" not in v.person.local and v.person.id_number)
    every = admin.find("Patient", identifier=stranger.id_number)
    statuses = {township.get(f"/fhir/Patient/{p['id']}").status_code for p in every}
    found = township.find("Patient", identifier=stranger.id_number)
    seen = f"{len(every)} Patients at other facilities; the township finds {len(found)}, reads get {sorted(statuses)}"
    return Line("a stranger stays hidden", seen, holds=bool(every) and not found and statuses == {404})


def _audited(admin: Client, person: str) -> Line:
    events = admin.find("AuditEvent", patient=f"Patient/{person}", _count="100")
    return Line("every look is audited", f"{len(events)} AuditEvents name her record", holds=bool(events))
