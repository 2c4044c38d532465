"""The measures and their wording. https://hl7.org/fhir/R4/measure.html

A change of what is counted is a new version: two numbers of different versions are not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hub.recognition.measures.counting import Counts

MEASURE_SYSTEM = "urn:hub:measure"
POPULATION = "http://terminology.hl7.org/CodeSystem/measure-population"
SCORING = "http://terminology.hl7.org/CodeSystem/measure-scoring"

Words = tuple[str, str]  # Chinese, English
Part = Callable[[Counts], int]


@dataclass(frozen=True, slots=True)
class Definition:
    """`denominator` None: a count or a sum. Money in fen."""

    id: str
    version: str
    title: Words
    numerator: Part
    numerator_words: Words
    denominator: Part | None = None
    denominator_words: Words = ("", "")
    exclusion_words: Words = (
        "仅供参考与急诊的结果不提示，未对照项目另计；提示当日、应答之前已失效的提示不计入",
        "results for reference and emergencies are no prompts; unmapped codes are counted apart; "
        "prompts that lapsed on their own day, before an answer, are left out",
    )
    excluded: Part = lambda c: c.lapsed

    def score(self, counts: Counts) -> float | None:
        """The share; None where there is nothing to divide by, or the measure is no share."""
        if self.denominator is None or self.denominator(counts) == 0:
            return None
        return self.numerator(counts) / self.denominator(counts)


DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "recognition-prompts",
        "2",
        ("互认提示数", "Prompts"),
        lambda c: c.prompts,
        ("开单时提示有可互认结果的项目数，每次就诊每项目计一次", "items prompted while ordering, each once within a visit"),
    ),
    Definition(
        "recognition-rate",
        "2",
        ("互认率", "Recognition rate"),
        lambda c: c.recognised,
        ("医师采用的提示", "prompts that the doctor recognised"),
        lambda c: c.prompts,
        ("采用 + 不予互认 + 未应答", "recognised + refused + unanswered"),
    ),
    Definition(
        "recognition-refusals",
        "2",
        ("不予互认率（分理由 R01–R12）", "Refusals, by reason R01–R12"),
        lambda c: c.refused,
        ("医师选择重新检查并说明理由的提示", "prompts that the doctor refused with a reason"),
        lambda c: c.prompts,
        ("采用 + 不予互认 + 未应答", "recognised + refused + unanswered"),
    ),
    Definition(
        "recognition-saved",
        "1",
        ("节约费用（分）", "Saved (fen)"),
        lambda c: c.saved,
        (
            "采用的提示所对应开单机构项目价格之和；决定时已不符合条件的记 0",
            "sum of the orderer's prices of recognised items; 0 where it no longer counted",
        ),
    ),
    Definition(
        "recognition-repeats",
        "2",
        ("重复检查率", "Repeat rate"),
        lambda c: c.repeated,
        (
            "时限内对同一患者再次开立的同一目录项目",
            "orders of a catalogue item placed again for the same person inside its outpatient window",
        ),
        lambda c: c.placed,
        ("开立的目录项目数", "orders of catalogue items placed"),
        ("未对照到目录的医嘱、已撤销的医嘱", "orders that map to no item, and withdrawn ones"),
        lambda c: c.withdrawn,
    ),
)
BY_ID: Mapping[str, Definition] = {each.id: each for each in DEFINITIONS}


def measure(definition: Definition) -> dict[str, Any]:
    """Definition → Measure."""
    populations = [("numerator", definition.numerator_words)]
    if definition.denominator is not None:
        populations.append(("denominator", definition.denominator_words))
    scoring = "proportion" if definition.denominator is not None else "cohort"
    return {
        "resourceType": "Measure",
        "id": definition.id,
        "url": f"{MEASURE_SYSTEM}:{definition.id}",
        "version": definition.version,
        "name": "".join(word.capitalize() for word in definition.id.split("-")),
        "title": definition.title[0],
        "status": "active",
        "description": "；".join((*definition.title, *definition.exclusion_words)),
        "scoring": {"coding": [{"system": SCORING, "code": scoring}]},
        "group": [
            {
                "population": [
                    {
                        "code": {"coding": [{"system": POPULATION, "code": code}]},
                        "description": " / ".join(words),
                        "criteria": {"language": "text/plain", "expression": words[1]},
                    }
                    for code, words in populations
                ]
            }
        ],
    }
