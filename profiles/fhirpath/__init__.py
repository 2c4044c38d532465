"""FHIRPath over plain JSON, compiled to closures: the invariants of R4, those of profiles, and paths that a program states.

https://hl7.org/fhirpath/N1/ and https://hl7.org/fhir/R4/fhirpath.html

    holds = compiled("value.empty() or dataAbsentReason.empty()", "Observation").truth
    holds(observation, Env(observation, observation))           # True, False, or None where nothing can be said
    compiled("name.where(use = 'official').given.first()", "Patient").values(patient, Env(patient, patient))

`values` gives the JSON objects themselves, not copies: what is found may be changed in place.
"""

from profiles.fhirpath.compiler import Compiled, compiled
from profiles.fhirpath.syntax import CannotCompile
from profiles.fhirpath.values import CannotEvaluate, Env

__all__ = ["CannotCompile", "CannotEvaluate", "Compiled", "Env", "compiled"]
