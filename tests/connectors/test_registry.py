"""The connectors that there are, and that what they bring has a mapper."""

from __future__ import annotations

import pytest

from connectors.registry import manifests
from mappers.base import CannotMap
from mappers.registry import mapper_of

LISTENS = {
    "hl7v2_mllp": True,
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
    assert LISTENS.items() <= {name: manifest.listens for name, manifest in manifests().items()}.items()


@pytest.mark.parametrize("name", LISTENS)
def test_what_a_connector_brings_has_a_mapper(name):
    for kind in manifests()[name].produces:
        assert callable(mapper_of(kind))


def test_a_kind_that_nothing_maps_is_a_reason():
    with pytest.raises(CannotMap, match="no mapper for the kind fax"):
        mapper_of("fax")
