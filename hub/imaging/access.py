"""Which stored files an ImagingStudy is made of."""

from __future__ import annotations

from typing import Any, NamedTuple

from profiles.names import STORED_OBJECT


class InstanceBlob(NamedTuple):
    series_uid: str
    instance_uid: str
    sop_class: str  # the plain UID
    sha256: str


def instance_blobs(imaging_study: dict[str, Any]) -> list[InstanceBlob]:
    """The instances that the hub holds as files, in the order of the study."""
    return [
        InstanceBlob(series["uid"], instance["uid"], instance["sopClass"]["code"].removeprefix("urn:oid:"), sha256)
        for series in imaging_study.get("series", ())
        for instance in series.get("instance", ())
        if (sha256 := _stored(instance))
    ]


def _stored(instance: dict[str, Any]) -> str:
    """Of several files under one UID (a sender changed an object and kept its name) the first in the study's order."""
    for extension in instance.get("extension", ()):
        if extension.get("url") == STORED_OBJECT:
            reference = str(extension.get("valueReference", {}).get("reference", ""))
            if reference.startswith("Binary/"):
                return reference.removeprefix("Binary/")
    return ""
