"""The traps: who is one person, who is a doubt, and who never is."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from hub.identity import normalise
from hub.identity.clusters import persons
from hub.identity.rules import REASONS, Verdict, compare, facts_of
from profiles.names import FACILITY_TAG, HEALTH_CARD, ID_CARD


def number(birth: str = "19700301", serial: str = "123", area: str = "339900") -> str:
    first17 = area + birth + serial
    return first17 + normalise.id_check(first17)


HERS = number(serial="122")  # even: female
OTHERS = number(serial="124")
WITH_X = number("19491231", "008")


def patient(id: str = "a", name: str = "王小芳", born: str = "1970-03-01", sex: str = "female", **more: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"resourceType": "Patient", "id": id, "name": [{"text": name}], "birthDate": born, "gender": sex}
    systems = {"card": ID_CARD, "health": HEALTH_CARD, "insurance": "urn:hub:CTY:insurance", "own": "urn:hub:CTY:patient"}
    if numbers := [{"system": system, "value": more.pop(kind)} for kind, system in systems.items() if more.get(kind)]:
        values["identifier"] = numbers
    if facility := more.pop("facility", ""):
        values["meta"] = {"tag": [{"system": FACILITY_TAG, "code": facility}]}
    if phone := more.pop("phone", ""):
        values["telecom"] = [{"system": "phone", "value": phone}]
    if address := more.pop("address", ""):
        values["address"] = [{"text": address}]
    return {name: value for name, value in {**values, **more}.items() if value not in ("", [{"text": ""}])}


def verdict_of(one: dict[str, Any], other: dict[str, Any]) -> Verdict:
    there, back = compare(facts_of(one), facts_of(other)), compare(facts_of(other), facts_of(one))
    assert there == back
    assert there.reason in REASONS
    return there


FILLER = number("19000101", "100", "110101")
PASSPORT = {
    "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PPN"}]},
    "system": "http://hl7.org/fhir/sid/passport-GBR",
    "value": "GB 1234567",
}
RESIDENT = number("19700301", "123", "911840")
HOME = "示范县青山镇柳树村3组12号"
MOTHER = number("19950607", "126")
FAMILY = "JM33990012345"
HOUSE = {"phone": "13812345678", "address": HOME}
CHILD = {"name": "李小明", "born": "2019-05-05", "sex": "male"}
TWIN = {"name": "李小亮", "born": "2019-05-05", "sex": "male"}
BABY = {"name": "王小芳之女", "born": "2026-05-01", "card": MOTHER}
CASES = {
    # numbers
    "the same number": (patient(card=HERS), patient(card=HERS), "link", "same-number"),
    "an old number of fifteen digits": (patient(card=HERS), patient(card=HERS[:6] + HERS[8:17]), "link", "same-number"),
    "a small x and full width digits": (
        patient(card=WITH_X, born=""),
        patient(card=WITH_X.lower().translate({48 + i: 0xFF10 + i for i in range(10)}), born="1949-12-31"),
        "link",
        "same-number",
    ),
    "the same number, no birth date stated": (patient(card=HERS), patient(card=HERS, born=""), "link", "same-number"),
    "the same number, a birth date with a wrong digit": (
        patient(card=HERS),
        patient(card=HERS, born="1971-03-01"),
        "link",
        "same-number",
    ),
    "the same number, day and month exchanged": (patient(card=HERS), patient(card=HERS, born="1970-01-03"), "link", "same-number"),
    "the same number, the birthday of the Chinese calendar": (
        patient(card=HERS),
        patient(card=HERS, born="1970-01-24"),
        "link",
        "same-number",
    ),
    "the same number, the wrong sex": (patient(card=HERS), patient(card=HERS, sex="male"), "link", "same-number"),
    "a homophone on the card": (patient(card=HERS), patient(card=HERS, name="王晓芳"), "link", "same-number"),
    "one twin with the other's card": (
        patient(card=number("20190505", "123"), **CHILD),
        patient(card=number("20190505", "123"), **TWIN),
        "doubt",
        "same-number-other-name",
    ),
    "an imaging device's letters": (patient(card=HERS), patient(card=HERS, name="WANG XIAOFANG"), "link", "same-number"),
    "a short name with another character": (
        patient(card=HERS, name="王芳"),
        patient(card=HERS, name="王磊"),
        "doubt",
        "same-number-other-name",
    ),
    "a daughter on her mother's card": (
        patient(card=HERS),
        patient(card=HERS, name="李小明", born="1999-05-05", sex="male"),
        "doubt",
        "same-number-other-birth-date",
    ),
    "a birth date that is nothing like the number's": (
        patient(card=HERS),
        patient(card=HERS, born="1985-07-19"),
        "doubt",
        "same-number-other-birth-date",
    ),
    "two numbers": (patient(card=HERS, **HOUSE), patient(card=OTHERS, **HOUSE), "no", "other-number"),
    "a number that fails its check": (
        patient(card=HERS[:17] + ("0" if HERS[17] != "0" else "1")),
        patient(card=HERS),
        "doubt",
        "same-name-birth-sex",
    ),
    "a wife on her husband's card": (
        patient(card=number("19680101", "123"), **HOUSE),
        patient(card=HERS, **HOUSE),
        "doubt",
        "weighed-strange-number",
    ),
    "a number that is typed where none is known": (
        patient(card=FILLER, name="", born="1900-01-01"),
        patient(card=FILLER, name="", born="1900-01-01"),
        "no",
        "nothing",
    ),
    "two without a name on 1 January": (
        patient(card=number("19700101", "122"), name="无名女1", born="1970-01-01"),
        patient(card=number("19700101", "122"), name="无名女2", born="1970-01-01"),
        "doubt",
        "same-number-other-name",
    ),
    "a grown man whose name is a newborn's": (
        patient(card=number(serial="121"), name="王宝宝", sex="male"),
        patient(card=number(serial="121"), name="王宝宝", sex="male"),
        "link",
        "same-number",
    ),
    "a nickname and the name": (
        patient(card=HERS) | {"name": [{"use": "nickname", "text": "毛丫头"}, {"use": "official", "text": "王小芳"}]},
        patient(card=HERS),
        "link",
        "same-number",
    ),
    "a married name": (patient(card=HERS, name="陈王小芳"), patient(card=HERS), "doubt", "same-number-other-name"),
    "the dot of a name in three shapes": (
        patient(card=HERS, name="古丽‧买买提"),
        patient(card=HERS, name="古丽·买买提\u200b"),
        "link",
        "same-number",
    ),
    "another spelling of a name from Uyghur": (
        patient(card=HERS, name="阿不都拉·买买提"),
        patient(card=HERS, name="阿卜杜拉·买买提"),
        "link",
        "same-number",
    ),
    "a character that no system could show": (
        patient(name="王?芳", **HOUSE),
        patient(name="王?芳", **HOUSE),
        "doubt",
        "weighed-other-name",
    ),
    "a character that one system could not show": (
        patient(card=HERS, name="王𠮷芳"),
        patient(card=HERS, name="王?芳"),
        "doubt",
        "same-number-other-name",
    ),
    "a character without a reading, left out": (
        patient(card=HERS, name="王𠮷芳"),
        patient(card=HERS, name="王芳"),
        "doubt",
        "same-number-other-name",
    ),
    "residence permits of Hong Kong people": (
        patient(card=number(area="810000", serial="122")),
        patient(card=number(area="810000", serial="122")),
        "link",
        "same-number",
    ),
    "a foreigner's permanent resident number": (
        patient(card=RESIDENT, name="SMITH JOHN", sex="male"),
        patient(card=RESIDENT.lower(), name="Smith, John", sex="male"),
        "link",
        "same-document",
    ),
    "a passport": (
        patient(name="SMITH JOHN", identifier=[PASSPORT]),
        patient(name="Smith John", identifier=[{**PASSPORT, "type": {}, "system": "urn:hub:CTY:ppn"}]),
        "link",
        "same-document",
    ),
    "somebody else's passport": (
        patient(name="SMITH JOHN", identifier=[PASSPORT]),
        patient(name="SMITH MARY", born="1975-05-05", identifier=[PASSPORT]),
        "doubt",
        "same-document-other-name",
    ),
    # cards, accounts, a facility's numbers
    "the same health card": (patient(health="A12345678"), patient(health="A1234 5678"), "link", "same-health-card"),
    "a father's health card": (
        patient(health="A12345678"),
        patient(health="A12345678", **CHILD),
        "doubt",
        "same-health-card-other-name",
    ),
    "a filler for a health card": (patient(health="000000000"), patient(health="000000000"), "doubt", "same-name-birth-sex"),
    "the same insurance number and person": (patient(insurance=FAMILY), patient(insurance=FAMILY), "link", "same-insurance"),
    "the same insurance number, the sex not stated": (
        patient(insurance=FAMILY),
        patient(insurance=FAMILY, sex=""),
        "link",
        "same-insurance",
    ),
    "a word for an insurance number": (
        patient(insurance="城乡居民医保"),
        patient(insurance="城乡居民医保"),
        "doubt",
        "same-name-birth-sex",
    ),
    "a filler for a facility's number": (
        patient(own="0", facility="CTY", born=""),
        patient(own="0", facility="CTY"),
        "no",
        "nothing",
    ),
    "two health cards": (
        patient(health="A12345678", **HOUSE),
        patient(health="A87654321", **HOUSE),
        "doubt",
        "weighed-other-card",
    ),
    "a family's insurance account": (
        patient(insurance=FAMILY, **HOUSE),
        patient(insurance=FAMILY, **HOUSE, **CHILD),
        "no",
        "nothing",
    ),
    "twins in a family's account": (
        patient(insurance=FAMILY, **HOUSE, **CHILD),
        patient(insurance=FAMILY, **HOUSE, **TWIN),
        "doubt",
        "weighed-other-name",
    ),
    "the same number of one facility": (
        patient(own="C001", facility="CTY"),
        patient(own="C001", facility="CTY", born="1970-01-03"),
        "link",
        "same-local-number",
    ),
    "a number given anew to another patient": (
        patient(own="C001", facility="CTY"),
        patient(own="C001", facility="CTY", **CHILD),
        "doubt",
        "same-local-number-other-name",
    ),
    "a number in another facility's name": (
        patient(own="C001", facility="CTY"),
        patient(own="C001", facility="TWP", born="1971-09-12"),
        "no",
        "nothing",
    ),
    # newborns
    "a newborn on its mother's card": (
        patient(name="王小芳", born="1995-06-07", card=MOTHER, **HOUSE),
        patient(**BABY, **HOUSE),
        "no",
        "newborn-of-mother",
    ),
    "a newborn without a birth date": (
        patient(name="王小芳", born="1995-06-07", card=MOTHER),
        patient(name="王小芳之女", born="", card=MOTHER),
        "no",
        "newborn-of-mother",
    ),
    "one newborn or twins": (patient(**BABY), patient(**BABY), "doubt", "newborns-of-one-mother"),
    "the elder of twins, twice": (
        patient(**BABY, multipleBirthInteger=1),
        patient(**{**BABY, "name": "王小芳之长女"}),
        "link",
        "same-newborn",
    ),
    "a child with its own number and no name yet": (
        patient(name="王小芳之女", born="2026-05-01", card=number("20260501", "122")),
        patient(name="李欣怡", born="2026-05-01", card=number("20260501", "122")),
        "doubt",
        "same-number-other-name",
    ),
    "newborn twins": (patient(**BABY, multipleBirthInteger=1), patient(**BABY, multipleBirthInteger=2), "no", "nothing"),
    "her next child": (patient(**BABY), patient(**{**BABY, "born": "2028-02-01"}), "no", "nothing"),
    "a newborn that has its name now": (
        patient(name="王小芳之女", born="2026-05-01", **HOUSE),
        patient(name="李欣怡", born="2026-05-01", **HOUSE),
        "doubt",
        "newborns-of-one-mother",
    ),
    # all elements, weighed
    "the same telephone": (patient(phone="138-1234 5678"), patient(phone="+8613812345678"), "link", "weighed"),
    "the same house": (patient(card=HERS, address=HOME), patient(address="示范县 青山镇，柳树村三组十二号"), "link", "weighed"),
    "nothing to tell": (patient(), patient(), "doubt", "same-name-birth-sex"),
    "an address that names no house": (
        patient(address="示范县青山镇"),
        patient(address="示范县青山镇"),
        "doubt",
        "same-name-birth-sex",
    ),
    "a village's group alone": (patient(address="柳树村3组"), patient(address="柳树村3组"), "doubt", "same-name-birth-sex"),
    "a name written apart": (patient(name="王 小芳", phone="13812345678"), patient(phone="13812345678"), "link", "weighed"),
    "day and month exchanged": (
        patient(born="1970-03-02", **HOUSE),
        patient(born="1970-02-03", **HOUSE),
        "link",
        "weighed",
    ),
    "day and month exchanged, one telephone for a village": (
        patient(born="1970-03-02", phone="13812345678"),
        patient(born="1970-02-03", phone="13812345678"),
        "doubt",
        "weighed-too-little",
    ),
    "a digit of the birth date": (
        patient(name="诸葛梓涵", born="2026-04-29", **HOUSE),
        patient(name="诸葛梓涵", born="2026-07-29", **HOUSE),
        "doubt",
        "weighed-other-birth-date",
    ),
    "no birth date": (
        patient(name="诸葛梓涵", born="2026-04-29", **HOUSE),
        patient(name="诸葛梓涵", born="", **HOUSE),
        "doubt",
        "weighed-other-birth-date",
    ),
    "another birth date": (patient(**HOUSE), patient(born="1985-07-19", **HOUSE), "doubt", "weighed-too-little"),
    "only the year known": (patient(born="1970", phone="13812345678"), patient(phone="13812345678"), "doubt", "weighed-too-little"),
    "a homophone": (patient(**HOUSE), patient(name="王晓芳", **HOUSE), "doubt", "weighed-other-name"),
    "another sex": (patient(**HOUSE), patient(sex="male", **HOUSE), "doubt", "weighed-other-sex"),
    "twins": (patient(**HOUSE, **CHILD), patient(**HOUSE, **TWIN), "doubt", "weighed-other-name"),
    "twins with short names": (patient(**HOUSE, name="李明"), patient(**HOUSE, name="李亮"), "no", "nothing"),
    "one telephone in a house": (
        patient(phone="13812345678"),
        patient(name="李军", born="1968-01-01", sex="male", phone="13812345678"),
        "no",
        "nothing",
    ),
    "a common name and 1 January": (
        patient(name="张伟", born="1970-01-01"),
        patient(name="张伟", born="1970-01-01"),
        "no",
        "nothing",
    ),
    "nobody": (patient(name="无名氏", phone="13812345678"), patient(name="无名氏", phone="13812345678"), "no", "nothing"),
    **{
        f"nobody: {name}": (patient(name=name, **HOUSE), patient(name=name, **HOUSE), "no", "nothing")
        for name in ("测试患者01", "张测试", "李某某", "无名氏A", "王XX", "不详", "Unknown 3", "TEST PATIENT", "***")
    },
    "a filler for a telephone": (patient(phone="00000000000"), patient(phone="00000000000"), "doubt", "same-name-birth-sex"),
}


@pytest.mark.parametrize("case", CASES)
def test_two_patients(case):
    one, other, answer, reason = CASES[case]
    assert verdict_of(one, other)[:2] == (answer, reason)


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
