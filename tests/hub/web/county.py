"""A county of three facilities with one well-known resident, as the intake would have left them. Nobody here exists."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from hub.app import Hub, create_app, open_hub
from hub.keep import keep
from hub.settings import County, Facility, RecognitionSettings
from mappers.identity_keys import local_system, organization_id, reference, resource_id
from profiles.catalogue import load_concept_maps
from profiles.names import (
    DCM,
    DIAGNOSTIC_SERVICE,
    ID_CARD,
    MACHINE_STATEMENT,
    OBSERVATION_CATEGORY,
    OBSERVATION_INTERPRETATION,
    RECOGNITION_MARK,
    STORED_OBJECT,
    UCUM,
)

NOW = datetime(2026, 3, 10, 2, 0, tzinfo=UTC)  # 10:00 in the county
CHINA = "+08:00"
AREAS = ("county:339900", "prefecture:3399", "province:33", "national")
COUNTY = County(
    name="示范县医共体",
    name_en="Demonstration county",
    recognition=RecognitionSettings(answer_seconds=10),  # of a machine that many tests share
    facility=(
        Facility(
            code="CTY", name="示范县人民医院", name_en="County Hospital", kind="A100", grade="二级甲等", community="yt", areas=AREAS
        ),
        Facility(
            code="TCM", name="示范县中医医院", name_en="TCM Hospital", kind="A210", grade="二级乙等", community="yt", areas=AREAS
        ),
        Facility(
            code="TWP",
            name="青山镇中心卫生院",
            name_en="Qingshan Health Centre",
            kind="C210",
            grade="一级甲等",
            community="yt",
            areas=AREAS,
        ),
        Facility(
            code="FAR", name="邻县医院", name_en="Neighbour Hospital", grade="二级甲等", areas=("county:339901", "province:33")
        ),
    ),
)
ID_NUMBER = "339900196803120120"
NUMBERS = {"CTY": "C000001", "TCM": "80001", "TWP": "Q0001"}
MAPS = load_concept_maps()
MAP_CODE = {
    "CTY": str,
    "TCM": lambda code: {"K": "1001", "CREA": "1005"}[code],
    "TWP": lambda code: {"K": "钾", "CREA": "肌酐"}[code],
}
TESTS = {
    "K": ("钾", "mmol/L", "3.5", "5.3"),
    "CREA": ("肌酐", "umol/L", "41", "81"),
    "UA": ("尿酸", "umol/L", "155", "357"),
    "AFP": ("甲胎蛋白", "ng/mL", "0", "7"),
}


def day(ago: int, clock: str = "08:00:00") -> str:
    return f"{(NOW + timedelta(hours=8) - timedelta(days=ago)):%Y-%m-%d}T{clock}{CHINA}"


@dataclass(frozen=True)
class Site:
    hub: Hub
    app: object
    tokens: dict[str, str]
    person: str
    stranger: str  # a person of the neighbour county alone


def build(folder, *, extra: int = 0, clock=lambda: int(NOW.timestamp() * 1000), store: str = "") -> Site:
    """The county in a new data folder; `extra` residents more, all named 王…, for long answers."""
    hub = open_hub(folder, COUNTY, clock=clock, store=store)
    records = [(facility, resource) for facility in NUMBERS for resource in facility_record(facility)]
    records += [("CTY", r) for r in [*imaging(hub), *discharge_file(hub)]] + [("TCM", r) for r in ecg(hub)]
    records += [("FAR", patient("FAR", "F1", "赵远方")), ("FAR", encounter("FAR", "F1", 3, "AMB"))]
    for n in range(extra):
        records += [
            ("TWP", patient("TWP", f"W{n:03d}", f"王小{'甲乙丙丁戊己庚辛壬癸'[n % 10]}{n}")),
            ("TWP", encounter("TWP", f"W{n:03d}", 1, "AMB")),
        ]
    hub.store.write(lambda transaction: _keep(transaction, records)).result()
    roles = {"TWP": "clinician", "CTY": "clinician", "FAR": "clinician", "admin": "admin", "reader": "reader", "it": "it"}
    tokens = {
        who: hub.tokens.create(who, role, who if len(who) == 3 else "CTY" if who == "reader" else "") for who, role in roles.items()
    }
    return Site(
        hub,
        create_app(hub),
        tokens,
        hub.store.person_of(resource_id("Patient", "CTY", NUMBERS["CTY"])),
        resource_id("Patient", "FAR", "F1"),
    )


def _keep(transaction, records) -> None:
    now = int(NOW.timestamp() * 1000)
    for facility, resource in records:
        keep(transaction, resource, id=resource["id"], facility=facility, now=now, policy=COUNTY.policy)


def patient(facility, number, name, *, card=False):
    identifiers = [{"system": local_system(facility, "patient"), "value": number}] if facility else []
    identifiers += [{"system": ID_CARD, "value": ID_NUMBER}] if card else []
    return {
        "resourceType": "Patient",
        "id": resource_id("Patient", facility, number),
        "identifier": identifiers,
        "name": [{"use": "official", "text": name}],
        "gender": "female",
        "birthDate": "1968-03-12",
        "telecom": [{"system": "phone", "value": "13900000001" if card else "13900000009"}],
        "address": [{"text": "示范县青山镇桃源村18号"}],
    }


def facility_record(facility):
    number = NUMBERS[facility]
    yield patient(facility, number, "曾晓燕", card=True)
    ago = {"CTY": 2, "TCM": 40, "TWP": 0}[facility]
    yield encounter(facility, number, ago, {"CTY": "IMP", "TCM": "AMB", "TWP": "AMB"}[facility])
    tests = {"CTY": ("K", "CREA", "UA", "AFP"), "TCM": ("K", "CREA"), "TWP": ("CREA",)}[facility]
    values = {"CTY": ("3.2", "96", "402", "<0.61"), "TCM": ("4.10", "88"), "TWP": ("79",)}[facility]
    results = [
        observation(facility, number, code, value, 2 if facility == "CTY" else ago + 30)
        for code, value in zip(tests, values, strict=True)
    ]
    yield from results
    yield report(facility, number, results, 2 if facility == "CTY" else ago + 30)
    if facility == "CTY":
        yield from county_hospital_only(number)
    if facility == "TWP":
        yield medication(facility, number, "硝苯地平缓释片", "20mg 口服 每日两次")
        yield condition(facility, number, "原发性高血压", "I10")


def county_hospital_only(number):
    yield observation("CTY", number, "K", "3.9", 20)
    yield observation("CTY", number, "CREA", "91", 20)
    yield {
        "resourceType": "AllergyIntolerance",
        "id": "allergy-penicillin",
        "patient": reference("Patient", "CTY", number),
        "clinicalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]
        },
        "criticality": "high",
        "code": {"text": "青霉素"},
        "reaction": [{"manifestation": [{"text": "过敏性休克"}]}],
    }
    yield condition("CTY", number, "2型糖尿病", "E11.900")
    yield {
        "resourceType": "Composition",
        "id": "discharge-1",
        "status": "final",
        "type": {"coding": [{"system": "http://loinc.org", "code": "18842-5"}]},
        "title": "出院小结",
        "date": day(1),
        "subject": reference("Patient", "CTY", number),
        "encounter": reference("Encounter", "CTY", f"{number}-2"),
        "author": [{"reference": "Organization/CTY"}],
        "section": [
            {
                "title": "诊疗过程",
                "text": {
                    "status": "generated",
                    "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>入院后予补钾，复查血钾正常。<script>alert(1)</script><a href="http://x.example/">外链</a></p></div>',
                },
            },
        ],
    }


DISCHARGE_FILE = '<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"><title>出院小结</title></ClinicalDocument>'.encode()


def discharge_file(hub):
    """The file that the summary was read out of."""
    subject, sha = reference("Patient", "CTY", NUMBERS["CTY"]), put(hub, DISCHARGE_FILE)
    yield {"resourceType": "Binary", "id": sha, "contentType": "application/xml", "securityContext": subject}
    yield {
        "resourceType": "DocumentReference",
        "id": "discharge-file",
        "status": "current",
        "description": "出院小结",
        "date": day(1),
        "subject": subject,
        "content": [{"attachment": {"contentType": "application/xml", "url": f"Binary/{sha}"}}],
    }


def encounter(facility, number, ago, kind):
    return {
        "resourceType": "Encounter",
        "id": resource_id("Encounter", facility, f"{number}-{ago}"),
        "status": "in-progress" if ago == 0 else "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": kind},
        "subject": reference("Patient", facility, number),
        "period": {"start": day(ago), **({} if ago == 0 else {"end": day(ago - 1)})},
        "serviceProvider": {"reference": f"Organization/{organization_id(facility)}"},
        "reasonCode": [{"text": {"IMP": "乏力三天", "AMB": "复诊"}[kind]}],
    }


def observation(facility, number, code, value, ago):
    name, unit, low, high = TESTS[code]
    local = MAP_CODE[facility](code)
    comparator = "<" if value.startswith("<") else ""
    number_value = Decimal(value.removeprefix("<"))
    flag = "L" if number_value < Decimal(low) and not comparator else "H" if number_value > Decimal(high) else "N"
    codings = [
        {"system": local_system(facility, "item"), "code": local, "display": name},
        *MAPS.get((local_system(facility, "item"), local), ()),
    ]
    scope = {"coding": [{"system": "urn:hub:mark-scope", "code": "national"}], "text": "全国HR"}
    encounter_ago = {"CTY": 2, "TCM": 40, "TWP": 0}[facility]
    context = (
        {"encounter": reference("Encounter", facility, f"{number}-{encounter_ago}")} if (facility, ago) in (("CTY", 2),) else {}
    )
    return {
        "resourceType": "Observation",
        "id": resource_id("Observation", facility, f"{number}-{code}-{ago}"),
        "status": "final",
        **(
            {"extension": [{"url": RECOGNITION_MARK, "extension": [{"url": "scope", "valueCodeableConcept": scope}]}]}
            if facility == "CTY"
            else {}
        ),
        "category": [{"coding": [{"system": OBSERVATION_CATEGORY, "code": "laboratory"}]}],
        "code": {"coding": [dict(c) for c in codings], "text": name},
        "subject": reference("Patient", facility, number),
        **context,
        "effectiveDateTime": day(ago),
        "issued": day(ago, "10:00:00"),
        "performer": [{"reference": f"Organization/{organization_id(facility)}"}],
        "valueQuantity": {
            "value": number_value,
            "unit": {"umol/L": "μmol/L"}.get(unit, unit),
            "system": UCUM,
            "code": unit,
            **({"comparator": "<"} if comparator else {}),
        },
        "interpretation": [{"coding": [{"system": OBSERVATION_INTERPRETATION, "code": flag}]}],
        "referenceRange": [
            {"low": {"value": Decimal(low), "unit": unit}, "high": {"value": Decimal(high), "unit": unit}, "text": f"{low}-{high}"}
        ],
    }


def report(facility, number, results, ago):
    return {
        "resourceType": "DiagnosticReport",
        "id": resource_id("DiagnosticReport", facility, f"{number}-{ago}"),
        "status": "final",
        "category": [{"coding": [{"system": DIAGNOSTIC_SERVICE, "code": "LAB"}]}],
        "code": {"text": "生化检验报告"},
        "subject": reference("Patient", facility, number),
        **({"encounter": reference("Encounter", facility, f"{number}-2")} if facility == "CTY" else {}),
        "effectiveDateTime": day(ago),
        "issued": day(ago, "10:00:00"),
        "result": [{"reference": f"Observation/{r['id']}"} for r in results],
    }


def medication(facility, number, name, dosage):
    return {
        "resourceType": "MedicationRequest",
        "id": resource_id("MedicationRequest", facility, "rx1"),
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": {"text": name},
        "subject": reference("Patient", facility, number),
        "authoredOn": day(0),
        "encounter": reference("Encounter", facility, f"{number}-0"),
        "dosageInstruction": [{"text": dosage}],
    }


def condition(facility, number, name, code):
    ago = {"CTY": 2, "TWP": 0}[facility]
    return {
        "resourceType": "Condition",
        "id": resource_id("Condition", facility, code),
        "subject": reference("Patient", facility, number),
        "recordedDate": day(ago),
        "encounter": reference("Encounter", facility, f"{number}-{ago}"),
        "code": {"coding": [{"system": "urn:oid:2.16.156.10011.2.3.3.11", "code": code}], "text": name},
    }


def imaging(hub):
    """A chest radiograph at the county hospital, with its report; a head CT that is listed but whose files are gone."""
    subject, number = reference("Patient", "CTY", NUMBERS["CTY"]), NUMBERS["CTY"]
    sha = put(hub, picture())
    yield study("CTY", "chest", "DX", "胸部正位片", "CHEST", sha, subject, 5)
    yield {
        "resourceType": "DiagnosticReport",
        "id": "report-chest",
        "status": "final",
        "category": [{"coding": [{"system": DIAGNOSTIC_SERVICE, "code": "RAD"}]}],
        "code": {"text": "胸部正位片"},
        "subject": subject,
        "effectiveDateTime": day(5),
        "issued": day(5, "11:00:00"),
        "encounter": reference("Encounter", "CTY", f"{number}-2"),
        "imagingStudy": [{"reference": "ImagingStudy/chest"}],
        "conclusion": "心肺膈未见明显异常。",
    }
    yield study("CTY", "head", "CT", "头颅CT平扫", "HEAD", "0" * 64, subject, 15)


def ecg(hub):
    subject = reference("Patient", "TCM", NUMBERS["TCM"])
    yield study("TCM", "ecg", "ECG", "十二导联心电图", "", put(hub, tracing()), subject, 0)
    yield {
        "resourceType": "DiagnosticReport",
        "id": "report-ecg",
        "status": "registered",
        "category": [{"coding": [{"system": DIAGNOSTIC_SERVICE, "code": "EC"}]}],
        "extension": [{"url": MACHINE_STATEMENT, "valueString": "窦性心律"}],
        "code": {"text": "心电图"},
        "subject": subject,
        "effectiveDateTime": day(0),
        "imagingStudy": [{"reference": "ImagingStudy/ecg"}],
    }


def study(facility, id, modality, title, part, sha, subject, ago):
    series = {
        "uid": str(generate_uid(entropy_srcs=[id, "series"])),
        "modality": {"system": DCM, "code": modality},
        "numberOfInstances": 1,
        **({"bodySite": {"display": part}} if part else {}),
        "instance": [
            {
                "uid": str(generate_uid(entropy_srcs=[id, "instance"])),
                "sopClass": {"system": "urn:ietf:rfc:3986", "code": "urn:oid:1.2.840.10008.5.1.4.1.1.7"},
                "extension": [{"url": STORED_OBJECT, "valueReference": {"reference": f"Binary/{sha}"}}],
            }
        ],
    }
    return {
        "resourceType": "ImagingStudy",
        "id": id,
        "status": "available",
        "modality": [{"system": DCM, "code": modality}],
        "subject": subject,
        "started": day(ago, "09:30:00"),
        "description": title,
        "numberOfSeries": 1,
        "numberOfInstances": 1,
        "series": [series],
    }


def put(hub, content: bytes) -> str:
    sha = hashlib.sha256(content).hexdigest()
    hub.blobs.put(content)
    return sha


def _file(sop_class: str, modality: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, generate_uid(entropy_srcs=[modality])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[modality, "study"])
    dataset.Modality = modality
    return dataset


def _bytes(dataset: FileDataset) -> bytes:
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def picture() -> bytes:
    """Two dark lungs in a bright chest: enough to see that the right file is shown the right way round."""
    y, x = np.mgrid[0:480, 0:400]
    chest = 2600 - ((x - 200) / 190) ** 2 * 900
    for centre in (120, 280):
        chest -= 1700 * np.exp(-(((x - centre) / 58) ** 2 + ((y - 220) / 140) ** 2))
    dataset = _file("1.2.840.10008.5.1.4.1.1.1.1", "DX")
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 480, 400, 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.WindowCenter, dataset.WindowWidth = 1700, 2600
    dataset.PixelData = np.clip(chest, 0, 4095).astype("<u2").tobytes()
    return _bytes(dataset)


LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
LEAD_CODES = dict(zip(LEADS, ("1", "2", "61", "62", "63", "64", "3", "4", "5", "6", "7", "8"), strict=True))


def tracing() -> bytes:
    """Ten seconds of twelve leads at 500 Hz."""
    seconds = np.arange(5000) / 500
    beat = (seconds % 0.8) - 0.3
    wave = (
        100 * np.exp(-(((beat + 0.16) / 0.03) ** 2))
        + 1000 * np.exp(-((beat / 0.012) ** 2))
        - 200 * np.exp(-(((beat - 0.03) / 0.012) ** 2))
        + 250 * np.exp(-(((beat - 0.25) / 0.06) ** 2))
    )
    samples = np.stack([wave * factor for factor in np.linspace(-0.6, 1.2, 12)], axis=1).astype("<i2")
    dataset = _file("1.2.840.10008.5.1.4.1.1.9.1.1", "ECG")
    group = Dataset()
    group.WaveformOriginality, group.NumberOfWaveformChannels, group.NumberOfWaveformSamples, group.SamplingFrequency = (
        "ORIGINAL",
        12,
        5000,
        "500",
    )
    group.ChannelDefinitionSequence = [_channel(lead) for lead in LEADS]
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation, group.WaveformData = 16, "SS", samples.tobytes()
    dataset.WaveformSequence = [group]
    return _bytes(dataset)


def _channel(lead: str) -> Dataset:
    code, unit, channel = Dataset(), Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = f"5.6.3-9-{LEAD_CODES[lead]}", "SCPECG", f"Lead {lead}"
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "uV", "UCUM", "microvolt"
    channel.ChannelSourceSequence, channel.ChannelSensitivityUnitsSequence = [code], [unit]
    channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor, channel.ChannelBaseline = "1", "1", "0"
    channel.ChannelTimeSkew, channel.WaveformBitsStored = "0", 16
    return channel
