"""batch and transaction at the base address. https://hl7.org/fhir/R4/http.html#transaction"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from hub import fhir_json
from hub.api.batch import batch
from hub.api.call import Call, beside
from hub.api.negotiation import BUNDLE_BYTES, body_of, check_json
from hub.api.responses import json_answer, validation_header
from hub.api.transaction import transaction
from hub.errors import Invalid


async def process(call: Call) -> Response:
    check_json(call.request)
    body = await body_of(call.request, BUNDLE_BYTES)
    bundle = await beside(len(body), lambda: fhir_json.parse(body))
    if bundle.get("resourceType") != "Bundle":
        raise Invalid("the base address takes a Bundle", expression=("resourceType",))
    kind = bundle.get("type")
    if kind == "transaction":
        entries = await transaction(call, bundle, len(body))
    elif kind == "batch":
        entries = await batch(call, bundle)
    else:
        raise Invalid("the Bundle is a batch or a transaction", expression=("Bundle.type",))
    answer: dict[str, Any] = {"resourceType": "Bundle", "type": f"{kind}-response"}
    if entries:
        answer["entry"] = entries
    return json_answer(answer, headers=validation_header(call))
