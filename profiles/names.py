"""URIs and tags of ours, named once. Everything with an official URI uses that one."""

from __future__ import annotations

FACILITY_TAG = "urn:hub:facility"  # meta.tag system; code = the facility whose record it is; the hub owns it
HUB_TAG = "urn:hub:tag"  # meta.tag system of the hub's own marks
GOLDEN = "golden"  # meta.tag code: a golden Patient, made by the hub, one a person

PINYIN_PARAMETER = "urn:hub:search-parameter:pinyin"  # SearchParameter.url: names by pinyin

RECOGNITION_MARK = "urn:hub:ext:recognition-mark"  # Observation / DiagnosticReport; nested: scope, text
STORED_OBJECT = "urn:hub:ext:stored-object"  # ImagingStudy.series.instance → Binary/{sha256} as received
CHARSET_REPAIRED = "urn:hub:ext:charset-repaired"  # the declared character set was wrong; value = the one used
SOURCE_GENDER = "urn:hub:ext:source-gender"  # valueCoding: the code as the source wrote it
ETHNIC_GROUP = "urn:hub:ext:ethnic-group"  # Patient; valueCodeableConcept: 民族, where it is stated in China
MACHINE_STATEMENT = "urn:hub:ext:machine-statement"  # an ECG cart's own interpretation, never a diagnosis

ID_CARD = "urn:oid:2.16.156.10011.1.3"  # 居民身份证号
HEALTH_CARD = "urn:oid:2.16.156.10011.1.19"  # 居民健康卡
ETHNIC_GROUP_CN = "urn:oid:2.16.156.10011.2.3.3.3"  # GB/T 3304
GENDER_CN = "urn:oid:2.16.156.10011.2.3.3.4"  # GB/T 2261.1

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
DICOM_UID = "urn:dicom:uid"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
OBSERVATION_INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
DIAGNOSTIC_SERVICE = "http://terminology.hl7.org/CodeSystem/v2-0074"
