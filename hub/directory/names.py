"""URIs of the directory, named once."""

from __future__ import annotations

FACILITY_CODE = "urn:hub:facility-code"  # Organization.identifier: the code that county.toml gives a facility
FACILITY_KIND = "urn:hub:facility-kind"  # Organization.type: WS 218 kind as it was written
FACILITY_GRADE = "urn:hub:facility-grade"  # Organization.type: 二级甲等 …
ORGANIZATION_TYPE = "http://terminology.hl7.org/CodeSystem/organization-type"
TITLE = "urn:hub:cn:cv08.30.005"  # PractitionerRole.code: 专业技术职务
POST = "urn:hub:directory:post"  # PractitionerRole.code: 岗位, as it was written
