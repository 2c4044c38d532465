"""Who may see and write what. The default sees nothing.

Viewing across facilities: a facility sees its own records, and those of persons it treats (an open or recent encounter, an active
order or referral). Everyone else's answer is the same as for a record that never was.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hub.errors import NotAllowed, NotFound
from hub.security.access import Access
from hub.settings import County, Policy
from hub.store.port import EVERYTHING, Scope, Version
from profiles.names import GOLDEN, HUB_TAG

DAY = 86_400_000


def _types(names: str) -> frozenset[str]:
    return frozenset(names.split())


TERMINOLOGY_TYPES = _types(
    "CodeSystem ValueSet ConceptMap NamingSystem StructureDefinition StructureMap SearchParameter OperationDefinition "
    "CapabilityStatement ImplementationGuide CompartmentDefinition GraphDefinition MessageDefinition ExampleScenario "
    "TerminologyCapabilities TestScript TestReport"
)
DIRECTORY_TYPES = _types(
    "Organization OrganizationAffiliation Location Practitioner PractitionerRole HealthcareService Endpoint "
    "Schedule Slot InsurancePlan"
)
CATALOGUE_TYPES = _types(
    "ActivityDefinition PlanDefinition Questionnaire Library Measure ObservationDefinition SpecimenDefinition "
    "DeviceDefinition Medication MedicationKnowledge Substance ChargeItemDefinition CatalogEntry EventDefinition "
    "ResearchDefinition ResearchElementDefinition EffectEvidenceSynthesis RiskEvidenceSynthesis Evidence EvidenceVariable"
)
SHARED_TYPES = TERMINOLOGY_TYPES | DIRECTORY_TYPES | CATALOGUE_TYPES
"""What belongs to no patient and may be seen by everyone who has a token."""

IMAGING_TYPES = _types("Patient ImagingStudy DiagnosticReport Observation ServiceRequest Encounter Binary DocumentReference Media")

PATIENT_TYPES = _types(
    "Account AdverseEvent AllergyIntolerance Appointment AppointmentResponse Basic Binary BodyStructure Bundle CarePlan CareTeam "
    "ChargeItem Claim ClaimResponse ClinicalImpression Communication CommunicationRequest Composition Condition Consent "
    "Contract Coverage CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue Device DeviceMetric DeviceRequest "
    "DeviceUseStatement DiagnosticReport DocumentManifest DocumentReference Encounter EnrollmentRequest EnrollmentResponse "
    "EpisodeOfCare ExplanationOfBenefit FamilyMemberHistory Flag Goal Group GuidanceResponse ImagingStudy Immunization "
    "ImmunizationEvaluation ImmunizationRecommendation Invoice Linkage List MeasureReport Media MedicationAdministration "
    "MedicationDispense MedicationRequest MedicationStatement MolecularSequence NutritionOrder Observation Patient "
    "PaymentNotice PaymentReconciliation Person Procedure Provenance QuestionnaireResponse RelatedPerson RequestGroup "
    "ResearchStudy ResearchSubject RiskAssessment ServiceRequest Specimen SupplyDelivery SupplyRequest Task "
    "VerificationResult VisionPrescription"
)
CLINICAL_TYPES = SHARED_TYPES | PATIENT_TYPES
"""All but AuditEvent, Subscription and what only the hub's administrators read."""

WORKING_TYPES = CLINICAL_TYPES | _types("Subscription")
"""Of those who write: a Subscription is its facility's own, whoever is treated there."""

WRITING_ROLES = frozenset({"clinician", "system", "admin"})
SERVER_OWNED_TYPES = frozenset({"AuditEvent"})
CONFIGURING_ROLES = frozenset({"admin", "it"})
CONFIGURATION_TYPES = frozenset({"SearchParameter"})
"""What changes how the whole hub works."""

_ROLE_TYPES: dict[str, frozenset[str] | None] = {
    "admin": None,
    "system": WORKING_TYPES,
    "clinician": WORKING_TYPES,
    "reader": SHARED_TYPES | IMAGING_TYPES,
    "it": SHARED_TYPES,
}


def scope_of(access: Access, county: County, now: int) -> Scope:  # noqa: ARG001  what a county may one day configure
    """What `access` may see at `now` (UTC ms)."""
    if access.role not in _ROLE_TYPES:
        return Scope()
    if not access.facility and access.role == "admin":
        return EVERYTHING
    if not access.facility and access.role == "system":
        return Scope(everything=True, types=WORKING_TYPES, shared_types=SHARED_TYPES, now=now)
    types = _ROLE_TYPES[access.role]
    if not access.facility:
        types = SHARED_TYPES
    return Scope(facility=access.facility, types=types, shared_types=SHARED_TYPES, now=now)


def county_wide(access: Access) -> bool:
    """Sees and writes for every facility."""
    return not access.facility and access.role in ("admin", "system")


def is_golden(resource: dict[str, Any]) -> bool:
    """A Patient that the hub made to stand for a person."""
    tags = (resource.get("meta") or {}).get("tag") or []
    return resource.get("resourceType") == "Patient" and any(t.get("system") == HUB_TAG and t.get("code") == GOLDEN for t in tags)


def check_write(access: Access, resource_type: str, current: Version | None, *, golden: bool = False) -> None:
    """Raise NotAllowed unless `access` may write this resource; `current` is its newest version, if any."""
    if resource_type in CONFIGURATION_TYPES:
        check_configure(access)
        return
    if access.role not in WRITING_ROLES:
        raise NotAllowed(f"the role {access.role} may not write")
    if resource_type in SERVER_OWNED_TYPES:
        raise NotAllowed(f"{resource_type} is written by the hub alone")
    types = _ROLE_TYPES[access.role]
    if types is not None and resource_type not in types:
        raise NotAllowed(f"the role {access.role} may not write {resource_type}")
    if golden and access.role != "admin":
        raise NotAllowed("a golden Patient is written by the hub alone")
    if county_wide(access):
        return
    if not access.facility:
        raise NotAllowed("a token without a facility may not write")
    if current is not None and current.facility != access.facility:
        raise NotAllowed("the record belongs to another facility")


def check_configure(access: Access) -> None:
    """Raise NotAllowed unless `access` may change how the whole hub works."""
    if access.facility or access.role not in CONFIGURING_ROLES:
        raise NotAllowed("this concerns the whole hub: it takes an admin or it token that belongs to no facility")


IDENTITY_ROLES = frozenset({"admin", "it"})
"""Who may say whose records are one person's: of a facility about its own Patients, of the county about all."""


def identity_scope(access: Access) -> Scope:
    """What is looked at to decide about identities; of a facility's account the work itself leaves out what is not its own."""
    if access.role not in IDENTITY_ROLES:
        return Scope()
    return Scope(everything=True, types=_types("Patient Task"))


def check_identity(access: Access, facilities: Collection[str]) -> None:
    """Raise NotAllowed unless `access` decides about identities, NotFound if it may not about Patients of `facilities`."""
    if access.role not in IDENTITY_ROLES:
        raise NotAllowed(f"the role {access.role} does not decide whose records are one person's: admin and it do")
    if access.facility and set(facilities) != {access.facility}:
        raise NotFound("no such Patient of this facility; what concerns several facilities is decided by the county")


PROVING_TYPES = frozenset({"Encounter", "ServiceRequest", "MedicationRequest"})
_ENDED = frozenset({"finished", "cancelled", "entered-in-error"})
_NO_CARE = frozenset({"cancelled", "entered-in-error", "planned"})


def relations(resource: dict[str, Any], facility: str, now: int, policy: Policy) -> list[tuple[str, str, int]]:
    """(facility, patient id, until) that the resource proves: an encounter, an active order, a referral to another facility."""
    kind, until = resource["resourceType"], None
    patient = _patient_id(resource) if kind in PROVING_TYPES else ""
    if not facility or not patient:
        return []
    facilities = [facility]
    if kind == "Encounter":
        until = _encounter_until(resource, now, policy)
    elif kind in ("ServiceRequest", "MedicationRequest") and resource.get("status") == "active":
        until = _no_later(_instant(resource.get("authoredOn")), now) + policy.treatment_days * DAY
        facilities += _organizations(resource.get("performer"))
    if until is None or until <= now:
        return []
    return [(f, patient, until) for f in dict.fromkeys(facilities)]


def _organizations(performers: object) -> list[str]:
    """Facilities an order is addressed to; an Organization's id is its facility's code."""
    if not isinstance(performers, list):
        return []
    references = (str(p.get("reference", "")) for p in performers if isinstance(p, dict))
    return [r.removeprefix("Organization/") for r in references if r.startswith("Organization/")]


def _encounter_until(encounter: dict[str, Any], now: int, policy: Policy) -> int | None:
    status = encounter.get("status")
    if status in _NO_CARE:
        return None
    stated = encounter.get("period")
    period = stated if isinstance(stated, dict) else {}
    end = _instant(period.get("end"), end=True)
    if end is not None or status in _ENDED:
        last = end if end is not None else _instant(period.get("start"))
        return _no_later(last, now) + policy.treatment_days * DAY
    return _no_later(_instant(period.get("start")), now) + policy.open_encounter_days * DAY


def _no_later(instant: int | None, now: int) -> int:
    """A date in the future must not lengthen a relation; a missing one counts from now."""
    return now if instant is None else min(instant, now)


def _patient_id(resource: dict[str, Any]) -> str:
    subject = resource.get("subject")
    reference = subject.get("reference") if isinstance(subject, dict) else None
    kind, _, patient = str(reference or "").partition("/")
    return patient.partition("/")[0] if kind == "Patient" else ""


_CHINA = timezone(timedelta(hours=8))


def _instant(text: object, *, end: bool = False) -> int | None:
    """UTC ms of a FHIR date or dateTime; `end`: the last moment that a partial one covers."""
    if not isinstance(text, str):
        return None
    try:
        if len(text) == 4:
            moment = datetime(int(text) + (1 if end else 0), 1, 1, tzinfo=_CHINA)
        elif len(text) == 7:
            year, month = int(text[:4]), int(text[5:])
            moment = datetime(year + (month == 12 and end), (month % 12 + 1) if end else month, 1, tzinfo=_CHINA)
        elif len(text) == 10:
            moment = datetime.fromisoformat(text).replace(tzinfo=_CHINA) + timedelta(days=1 if end else 0)
        else:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=_CHINA)
    except ValueError:
        return None
    return int(moment.astimezone(UTC).timestamp() * 1000)
