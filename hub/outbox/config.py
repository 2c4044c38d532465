"""What a [[destination]] of each kind takes beside its name, facility and criteria."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connectors.credentials import Credentials
from hub.errors import Invalid
from hub.settings import Destination


class Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MessageOptions(Options):
    """How an ORU^R01 is written."""

    charset: Literal["UTF-8", "GB18030"] = "UTF-8"
    version: Literal["2.3.1", "2.4", "2.5", "2.5.1", "2.6"] = "2.5.1"
    sending_application: str = "YITONG"
    sending_facility: str = ""  # empty: the code of the facility whose record it is
    receiving_application: str = ""
    receiving_facility: str = ""  # empty: the destination's facility
    documents: bool = True  # PDF reports as OBX of type ED


class MllpOptions(MessageOptions):
    host: str
    port: int = Field(ge=1, le=65535)
    tls: bool = False
    ca_file: Path | None = None  # who signed the receiver's certificate; None: the system's authorities
    certificate_file: Path | None = None  # what we show, where the receiver asks for it
    key_file: Path | None = None


class DicomOptions(Options):
    host: str
    port: int = Field(default=104, ge=1, le=65535)
    called_ae: str = Field(min_length=1, max_length=16)
    calling_ae: str = Field(default="YITONG", min_length=1, max_length=16)
    charset: Literal["UTF-8", "GB18030"] = "UTF-8"  # of the Encapsulated PDF that a report becomes


class FhirOptions(Credentials):
    base_url: str = Field(pattern=r"^https?://")
    whole: bool = True  # with what the record refers to, in one transaction; else the record alone


class FolderOptions(MessageOptions):
    folder: Path
    content: Literal["hl7v2", "fhir", "pdf"] = "hl7v2"


KINDS: dict[str, type[Options] | type[FhirOptions]] = {
    "mllp": MllpOptions,
    "dicom": DicomOptions,
    "fhir": FhirOptions,
    "folder": FolderOptions,
}


def options_of(destination: Destination) -> Any:
    """Checked. Raise Invalid naming the destination and the option that is wrong, never a secret's value."""
    model = KINDS[destination.kind]
    try:
        return model.model_validate(destination.options)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        option = ".".join(map(str, first["loc"])) or "options"
        unknown = first["type"] == "extra_forbidden"
        says = f"no such option; there are {', '.join(model.model_fields)}" if unknown else first["msg"]
        raise Invalid(f"destination {destination.name}: {option}: {says}") from None
