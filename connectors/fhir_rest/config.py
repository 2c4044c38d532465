"""Options of a channel whose connector is fhir_rest."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from connectors.credentials import Credentials

# What a facility's server may hold of persons and of itself, in an order in which what is referred to comes first
USUAL_TYPES = (
    "Organization", "Location", "Practitioner", "PractitionerRole", "Patient", "RelatedPerson", "Encounter", "EpisodeOfCare",
    "Condition", "AllergyIntolerance", "ServiceRequest", "MedicationRequest", "MedicationStatement", "MedicationAdministration",
    "MedicationDispense", "Specimen", "Observation", "DiagnosticReport", "ImagingStudy", "Procedure", "Immunization", "CarePlan",
    "CareTeam", "Goal", "Composition", "DocumentReference", "Appointment", "Coverage", "FamilyMemberHistory", "RiskAssessment",
    "QuestionnaireResponse",
)  # fmt: skip
TYPE = r"[A-Z][A-Za-z]{1,63}"


class FhirRestConfig(Credentials):
    base_url: str = Field(pattern=r"^https?://[^?#]+$")
    mode: Literal["search", "history", "bulk"] = "search"
    types: tuple[str, ...] = Field(default=USUAL_TYPES, min_length=1)
    criteria: dict[str, str] = Field(default_factory=dict)  # by type, what is asked beside: Observation = "category=laboratory"
    deletions: bool = True  # of a search: asked of the type's history, for a search does not tell of them
    server: str = Field(default="", pattern=r"^[A-Za-z0-9.\-]{0,64}$")  # names its ids; empty: the host of base_url
    count: int = Field(default=200, ge=1, le=10_000)  # entries a page
    overlap: float = Field(default=300, ge=0)  # seconds: the longest time between a change's lastUpdated and its being found
    remember: int = Field(default=20_000, ge=0)  # versions of the overlap known, so that they are not taken again
    every: float = Field(default=60, gt=0)  # seconds between two looks
    seconds: float = Field(default=60, gt=0)  # for one answer
    page_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)  # of one answer
    group: str = Field(default="", pattern=r"^[A-Za-z0-9\-.]{0,64}$")  # bulk: of this Group only
    file_bytes: int = Field(default=8 * 1024 * 1024 * 1024, ge=1024)  # bulk: of one file
    file_seconds: float = Field(default=3600, gt=0)  # bulk: for one file
    resource_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)  # bulk: of one line

    @field_validator("types")
    @classmethod
    def names(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        import re

        wrong = next((each for each in types if not re.fullmatch(TYPE, each)), None)
        if wrong is not None:
            raise ValueError(f"{wrong[:40]} is no resource type")
        return types

    @model_validator(mode="after")
    def of_its_types(self) -> FhirRestConfig:
        unknown = next((each for each in self.criteria if each not in self.types), None)
        if unknown is not None:
            raise ValueError(f"criteria for {unknown[:40]}, which is not among the types")
        return self
