"""The traps: who is one person, who is a doubt, and who never is."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from hub.identity import normalise
from hub.identity.clusters import persons
from hub.identity.rules import REASONS, compare, facts_of
from profiles.names import ID_CARD


def number(birth: str = "19700301", serial: str = "123", area: str = "339900") -> str:
    first17 = area + birth + serial
    return first17 + normalise.id_check(first17)


HERS = number(serial="122")  # even: female
OTHERS = number(serial="124")


def patient(id: str = "a", name: str = "王小芳", born: str = "1970-03-01", sex: str = "female", **more: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"resourceType": "Patient", "id": id, "name": [{"text": name}], "birthDate": born, "gender": sex}
    if card := more.pop("card", ""):
        values["identifier"] = [{"system": ID_CARD, "value": card}]
    if phone := more.pop("phone", ""):
        values["telecom"] = [{"system": "phone", "value": phone}]
    if address := more.pop("address", ""):
        values["address"] = [{"text": address}]
    return {name: value for name, value in {**values, **more}.items() if value not in ("", [{"text": ""}])}


def verdict(one: dict[str, Any], other: dict[str, Any]) -> tuple[str, str]:
    there, back = compare(facts_of(one), facts_of(other)), compare(facts_of(other), facts_of(one))
    assert there == back
    assert there.reason in REASONS
    return tuple(there)


HOME = "示范县青山镇柳树村3组12号"
CASES = {
    "the same number": (patient(card=HERS), patient(card=HERS), "link"),
    "an old number of fifteen digits": (patient(card=HERS), patient(card=HERS[:6] + HERS[8:17]), "link"),
    "a small x and full width digits": (
        patient(card=HERS),
        patient(card=HERS.lower().translate({48 + i: 0xFF10 + i for i in range(10)})),
        "link",
    ),
    "the same number, no birth date stated": (patient(card=HERS), patient(card=HERS, born=""), "link"),
    "one character mistyped": (patient(card=HERS), patient(card=HERS, name="王晓芳"), "link"),
    "a short name with another character": (patient(card=HERS, name="王芳"), patient(card=HERS, name="王磊"), "doubt"),
    "a daughter on her mother's card": (
        patient(card=HERS),
        patient(card=HERS, name="李小明", born="1999-05-05", sex="male"),
        "doubt",
    ),
    "a newborn on its mother's card": (patient(card=HERS), patient(card=HERS, name="王小芳之女", born=""), "doubt"),
    "a stated birth date that is not the number's": (patient(card=HERS), patient(card=HERS, born="1971-03-01"), "doubt"),
    "two numbers": (patient(card=HERS, phone="13812345678"), patient(card=OTHERS, phone="13812345678"), "no"),
    "no number: the same telephone": (patient(phone="138-1234 5678"), patient(phone="+8613812345678"), "link"),
    "no number on one side: the same address": (
        patient(card=HERS, address=HOME),
        patient(address="示范县 青山镇，柳树村3组12号"),
        "link",
    ),
    "no number and nothing to tell": (patient(), patient(), "doubt"),
    "an address that names no house": (patient(address="示范县青山镇"), patient(address="示范县青山镇"), "doubt"),
    "a name written apart": (patient(name="王 小芳", phone="13812345678"), patient(phone="13812345678"), "link"),
    "twins": (patient(phone="13812345678", address=HOME), patient(name="王大芳", phone="13812345678", address=HOME), "no"),
    "one telephone in a house": (
        patient(phone="13812345678"),
        patient(name="李军", born="1968-01-01", sex="male", phone="13812345678"),
        "no",
    ),
    "another sex": (patient(phone="13812345678"), patient(sex="male", phone="13812345678"), "no"),
    "only the year known": (patient(born="1970", phone="13812345678"), patient(born="1970", phone="13812345678"), "no"),
    "nobody": (patient(name="无名氏", phone="13812345678"), patient(name="无名氏", phone="13812345678"), "no"),
    "a filler for a telephone": (patient(phone="00000000000"), patient(phone="00000000000"), "doubt"),
    "a number that fails its check": (patient(card=HERS[:17] + ("0" if HERS[17] != "0" else "1")), patient(card=HERS), "doubt"),
}


@pytest.mark.parametrize("case", CASES)
def test_two_patients(case):
    one, other, answer = CASES[case]
    assert verdict(one, other)[0] == answer


def test_numbers_of_the_standard():
    assert normalise.id_check("11010519491231002") == "X"
    assert normalise.id_number("11010519491231002x") == "11010519491231002X"
    assert normalise.id_number("110105491231002") == "11010519491231002X"
    for wrong in ("110105194912310021", "11010519491331002X", "", "1" * 18, "HERS"):
        assert normalise.id_number(wrong) == ""


def test_one_without_a_number_matching_two_persons_joins_neither_whatever_the_order():
    phone = "13812345678"
    three = [patient("a", card=HERS, phone=phone), patient("b", card=OTHERS, phone=phone), patient("c", phone=phone)]
    for order in permutations(three):
        found = persons({p["id"]: facts_of(p) for p in order}, {})
        assert found.clusters == ({"a"}, {"b"}, {"c"})
        assert found.doubts == {("a", "c"): "several-persons", ("b", "c"): "several-persons"}


def test_a_merged_patient_follows_its_survivor_and_a_circle_follows_nobody():
    facts = {p["id"]: facts_of(p) for p in (patient("a", card=HERS), patient("b", name="李军"), patient("c", card=HERS))}
    assert persons(facts, {"b": "a"}).clusters == ({"a", "b", "c"},)
    assert persons(facts, {"b": "a", "a": "b"}).clusters == ({"a"}, {"b"}, {"c"})
