"""The connectors that there are, and that what they bring has a mapper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.base import SourceDenied
from connectors.http import Http, nowhere
from connectors.registry import build, manifests
from hub.settings import Channel
from mappers.base import CannotMap
from mappers.registry import mapper_of

LISTENS = {
    "hl7v2_mllp": True,
    "hl7v2_http": True,
    "sql": False,
    "files": False,
    "dicom": True,
    "fhir_rest": False,
    "soap": True,
    "soap_query": False,
    "dicom_query": False,
    "dicomweb": False,
}


def test_every_folder_with_a_manifest_is_a_connector():
    assert {name: manifest.listens for name, manifest in manifests().items()} == LISTENS


@pytest.mark.parametrize("name", LISTENS)
def test_what_a_connector_brings_has_a_mapper(name):
    for kind in manifests()[name].produces:
        assert callable(mapper_of(kind))


def test_a_kind_that_nothing_maps_is_a_reason():
    with pytest.raises(CannotMap, match="no mapper for the kind fax"):
        mapper_of("fax")


CALLS_BY_HTTP: dict[str, dict[str, Any]] = {
    "fhir_rest": {"base_url": "https://his.example/fhir"},
    "dicomweb": {"base_url": "https://pacs.example/dicom-web"},
    "soap_query": {"url": "https://esb.example/", "queries": [{"action": "PatientInfoQuery", "request": "query.xml"}]},
}


@pytest.mark.parametrize("name", CALLS_BY_HTTP)
def test_a_house_that_signs_its_own_certificates_is_trusted_where_the_channel_names_them(name):
    trusted: list[Path | None] = []

    def outward(bases: tuple[str, ...], trust: Path | None = None) -> Http:
        trusted.append(trust)
        return nowhere(bases, trust)

    channel = Channel(name="x", connector=name, facility="CTY", options=CALLS_BY_HTTP[name] | {"ca_file": "/etc/yitong/ca.pem"})
    with pytest.raises(SourceDenied):
        build(channel, lambda *_: (), outward=outward)
    assert trusted == [Path("/etc/yitong/ca.pem")]
