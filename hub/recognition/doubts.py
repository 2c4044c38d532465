"""Patients of whom the identity rules cannot say whether they are this person: their results are shown as in doubt, never used."""

from __future__ import annotations

from hub.fhir_json import load
from hub.identity.decisions import LATER, OPEN
from hub.identity.pairs import CODE, PAIR, pair_of
from hub.records.reader import Reader
from hub.search.folding import fold_code
from hub.search.query import Criterion, SearchQuery, TokenValue
from hub.security.access import PIPELINE
from profiles.names import HUB_TAG

MOST = 20  # pairs looked at
FEW = 3  # Patients in doubt whose results are looked at


def doubted_patients(reader: Reader) -> tuple[str, ...]:
    """Ids of Patients in an open doubt with this person.

    The hub itself asks, for the Tasks are seen by the whole county's staff only; whose results of them are seen, the reader's own
    access decides.
    """
    known = {reader.person, *reader.linked}
    pairs = Criterion("identifier", "token", tuple(TokenValue(PAIR, fold_code(id)) for id in sorted(known)))
    opened = Criterion("status", "token", (TokenValue(None, OPEN), TokenValue(None, LATER)))
    doubts = Criterion("code", "token", (TokenValue(HUB_TAG, fold_code(CODE)),))
    page = reader.door.reads(PIPELINE).search(SearchQuery("Task", (pairs, opened, doubts), count=MOST))
    others = (id for version in page.matches for id in pair_of(load(version.body)) if id and id not in known)
    return tuple(dict.fromkeys(others))[:FEW]
