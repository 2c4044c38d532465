"""A Binary's bytes: in the resource, or in the blob store under its SHA-256, which then is the resource's id."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from hub.errors import NotFound
from hub.store.blobs import BlobStore

SHA256 = re.compile(r"[0-9a-f]{64}").fullmatch


def binary_content(resource: dict[str, Any], blobs: BlobStore) -> bytes:
    """Raise NotFound where they cannot be had, Damaged where they are no longer those that were put there."""
    if "data" in resource:
        try:
            return base64.b64decode(resource["data"])
        except binascii.Error:
            raise NotFound("the content of this Binary is not there") from None
    return blobs.read(resource["id"]) if SHA256(resource["id"]) else b""
