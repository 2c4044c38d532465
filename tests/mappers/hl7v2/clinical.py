"""Messages of orders, results and drugs, as short as a test needs them."""

import json
from decimal import Decimal
from pathlib import Path

from hub import fhir_json
from mappers.base import Mapped
from profiles.validation import validate
from tests.mappers.hl7v2.conftest import of_type

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "hl7v2"
PID = "PID|1||7||张三"


def message(kind: str, *segments: str, pid: str = PID) -> str:
    return "\r".join([rf"MSH|^~\&|HIS|CTY|HUB|HUB|20240501103000||{kind}|1|P|2.5.1", *([pid] if pid else []), *segments])


def issues_of(done: Mapped) -> set[tuple[str, str]]:
    return {(issue.code, issue.where) for issue in done.issues}


def check_valid(done: Mapped) -> None:
    """As a store would hold it, no resource breaks a rule of R4."""
    for resource_type in {change.resource["resourceType"] for change in done.changes}:
        for resource in of_type(done, resource_type):
            whole = json.loads(fhir_json.dump(resource), parse_float=Decimal)
            assert [(each.expression, each.message) for each in validate(whole)] == []
