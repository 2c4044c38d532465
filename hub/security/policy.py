"""Who may see and write what. The default sees nothing.

Viewing across facilities: a facility sees its own records, and those of persons whose record a relation opens to it
(hub.security.relations): it treats them, they permit it, or one of its clinicians broke the glass. What a label closes
(hub.security.labels) is seen by who recorded it, and by whom the person named for it. Everyone else's answer is the same as for a
record that never was.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hub.errors import NotAllowed, NotFound
from hub.security.access import Access
from hub.security.emergencies import holder_of, is_emergency
from hub.settings import County
from hub.store.port import EVERYTHING, Scope, Version
from profiles.names import GOLDEN, HUB_TAG


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

BUREAU_TYPES = SHARED_TYPES | _types("MeasureReport")
"""Of a health bureau: figures without a patient, and never an identified record."""

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
    "resident": CLINICAL_TYPES,
    "bureau": BUREAU_TYPES,
}
CLEARED_ROLES = frozenset({"admin", "system", "clinician"})
"""Of the treating team: they see what their own facility recorded under a label."""


def scope_of(access: Access, county: County, now: int) -> Scope:  # noqa: ARG001  what a county may one day configure
    """What `access` may see at `now` (UTC ms)."""
    if access.role not in _ROLE_TYPES:
        return Scope()
    if not access.facility and access.role == "admin":
        return EVERYTHING
    if not access.facility and access.role == "system":
        return Scope(everything=True, types=WORKING_TYPES, shared_types=SHARED_TYPES, now=now)
    types = _ROLE_TYPES[access.role]
    if access.role == "resident":
        return Scope(types=types, shared_types=SHARED_TYPES, patient=access.patient, cleared=True, now=now)
    if access.role == "bureau":
        return Scope(types=BUREAU_TYPES, shared_types=BUREAU_TYPES, now=now)
    if not access.facility:
        types = SHARED_TYPES
    holder = holder_of(access) if access.role == "clinician" else ""
    cleared = access.role in CLEARED_ROLES
    return Scope(facility=access.facility, types=types, shared_types=SHARED_TYPES, now=now, holder=holder, cleared=cleared)


def county_wide(access: Access) -> bool:
    """Sees and writes for every facility."""
    return not access.facility and access.role in ("admin", "system")


def is_golden(resource: dict[str, Any]) -> bool:
    """A Patient that the hub made to stand for a person."""
    tags = (resource.get("meta") or {}).get("tag") or []
    return resource.get("resourceType") == "Patient" and any(t.get("system") == HUB_TAG and t.get("code") == GOLDEN for t in tags)


def made_by_hub(resource: dict[str, Any]) -> bool:
    """It stands for a person, or for an emergency: no client makes or changes it."""
    return is_golden(resource) or is_emergency(resource)


def check_write(access: Access, resource_type: str, current: Version | None, *, hubs: bool = False) -> None:
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
    if hubs and access.role != "admin":
        raise NotAllowed("what stands for a person or an emergency is written by the hub alone")
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


def check_publish(access: Access) -> None:
    """Raise NotAllowed unless `access` may say what is recognised in the whole county."""
    if access.facility or access.role != "admin":
        raise NotAllowed("catalogues and evidence are published by an admin account that belongs to no facility")


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
