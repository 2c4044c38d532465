"""The recognition service of a running hub: the county's files, and what is published in its store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub.recognition.held import FactsOfCounty
from hub.recognition.service import RecognitionService
from profiles.catalogue import load_catalogue, load_concept_maps, load_evidence

if TYPE_CHECKING:
    from hub.app import Hub


def recognition_service(hub: Hub, beside: Path | None = None) -> RecognitionService:
    """Catalogue and evidence named in county.toml; `beside` is its folder. Raise Invalid naming the wrong file."""
    name = hub.county.catalogue
    return RecognitionService(
        county=hub.county,
        facts=FactsOfCounty(hub.store, hub.county, hub.clock, load_catalogue(name, beside), load_evidence(name, beside)),
        concept_maps=load_concept_maps(beside=beside),
        blobs=hub.blobs,
    )


def recognition_of(state: Any) -> RecognitionService:
    """The service of an application, kept in `app.state.recognition`; `app.state.county_folder` is where county.toml lies."""
    service: RecognitionService | None = getattr(state, "recognition", None)
    if service is None:
        service = state.recognition = recognition_service(state.hub, state.county_folder)
    return service
