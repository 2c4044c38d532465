"""A CDA document → Patient and Encounter of its header, Composition, DocumentReference, the bytes, and what its entries state.

WS/T 500 and 483 documents and C-CDA come through the same door. The makers below are the only code per meaning; which of them a
document type needs, and all names and codes, is in `tables/`.
"""

from __future__ import annotations

from collections.abc import Callable

from connectors.base import SourceRecord
from mappers.base import Mapped, MappingContext
from mappers.cda.allergies import state_allergies
from mappers.cda.ccda import state_ccda
from mappers.cda.composition import CONFIDENTIALITY, state_composition, state_document_reference
from mappers.cda.conditions import state_conditions, state_onset
from mappers.cda.conformance import report
from mappers.cda.consent import state_consent
from mappers.cda.document import Document
from mappers.cda.forms import state_answers, state_referral, state_vaccination, state_visit
from mappers.cda.header import changed_at, open_document
from mappers.cda.ledger import counts_of, ledger_of
from mappers.cda.medications import state_medications
from mappers.cda.observations import state_observations
from mappers.cda.orders import state_orders
from mappers.cda.procedures import state_operation, state_procedures
from mappers.cda.reader import attribute, child, parse
from mappers.cda.reports import state_imaging, state_lab
from mappers.cda.stay import state_costs, state_death, state_discharge, state_reason

Maker = Callable[[Document], None]
# By name in documents.toml. Visits come first, for all else is part of them; a form's answers last, for the rest is read elsewhere.
BEFORE: dict[str, Maker] = {"visit": state_visit}
AFTER: dict[str, Maker] = {
    "reason": state_reason,
    "discharge": state_discharge,
    "costs": state_costs,
    "death": state_death,
    "imaging": state_imaging,
    "lab": state_lab,
    "orders": state_orders,
    "operation": state_operation,
    "consent": state_consent,
    "vaccination": state_vaccination,
    "referral": state_referral,
}
LAST: dict[str, Maker] = {"answers": state_answers}
RESTRICTED = frozenset({"R", "V"})
SHARED = frozenset({"Patient", "Encounter", "Practitioner", "PractitionerRole"})
ALWAYS: tuple[Maker, ...] = (state_conditions, state_onset, state_allergies, state_medications, state_procedures)


def map_document(record: SourceRecord, context: MappingContext) -> Mapped:
    """Raise CannotMap: not XML, not a clinical document, or one that names no patient."""
    parsed = parse(record.content)
    document = open_document(parsed.root, record, context)
    if parsed.repaired:
        document.note("charset-repaired", "xml declaration", f"used {parsed.repaired}", severity="information")
    _state_entries(document)
    state_composition(document)
    attachments = state_document_reference(document)
    _label(document)
    lines = ledger_of(document)
    report(document, lines)
    return Mapped(
        tuple(document.changes),
        tuple(document.issues),
        attachments,
        changed_at(document),
        counts_of(lines),
        tuple(lines) if context.explain else (),
    )


def _label(document: Document) -> None:
    """A restricted document's label goes to all that it alone states; a person's other records are not restricted by it."""
    code = attribute(child(document.root, "confidentialityCode"), "code")
    if code not in RESTRICTED:
        return
    for change in document.changes:
        if change.resource["resourceType"] not in SHARED:
            change.resource["meta"] = {"security": [{"system": CONFIDENTIALITY, "code": code}]}


def _state_entries(document: Document) -> None:
    kind = document.kind
    if kind is None:
        state_ccda(document)
        return
    own = [table[name] for table in (BEFORE, AFTER, LAST) for name in kind.make if name in table]
    before = [maker for maker in own if maker in BEFORE.values()]
    last = [maker for maker in own if maker in LAST.values()]
    between = [maker for maker in own if maker not in (*before, *last)]
    for maker in (*before, *ALWAYS, *between, state_observations, *last):
        maker(document)
