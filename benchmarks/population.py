"""A county's people and what its facilities hold of them: Patients with the errors of real registers, and whose each is.

Nobody here exists: ID numbers lie in area 339900, which is no county's. The same seed makes the same people and Patients. How often
an error comes is set by hand, more often in a village clinic than in the county's hospital; no public count of them is known to us.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, NamedTuple

from demo.people import AREA, VILLAGES, old_id_number
from hub.identity.lunar import gregorian
from hub.search.folding import pinyin_forms
from mappers.datatypes import id_check
from mappers.identity_keys import resource_id
from profiles.names import FACILITY_TAG, HEALTH_CARD, ID_CARD

TODAY = date(2026, 11, 1)
# (surname, people in a thousand); the rest share the others
SURNAMES: dict[str, int] = dict(
    zip(
        "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗",
        (72, 71, 67, 54, 45, 31, 22, 21, 20, 19, 17, 15, 13, 13, 12, 11, 11, 11, 11, 9),
        strict=True,
    )
) | dict.fromkeys(
    [
        *"郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严",
        "欧阳",
        "上官",
        "司马",
        "诸葛",
    ],
    5,
)
OLD = {
    "female": "秀英 桂英 秀兰 玉兰 桂兰 秀珍 玉英 凤英 玉珍 秀芳 素珍 桂芳 凤兰 淑珍 淑英 玉梅 春兰 金花 月娥 彩霞 菊香",
    "male": "建国 国强 志强 建华 国华 建军 志明 福生 金水 德福 永贵 长根 有才 根生 水根 树林 小明 海林 文斌 振华 荣华",
}
YOUNG = {
    "female": "婷婷 雪梅 丽华 海燕 晓燕 佳怡 子涵 梓萱 欣怡 诗涵 雨桐 若曦 可馨 梦琪 静 敏 艳 娟 丽 芳 燕 玲 婷 莉",
    "male": "海涛 俊杰 浩然 子轩 宇航 浩宇 梓豪 宇轩 俊熙 志伟 文博 天佑 一鸣 博文 伟 军 勇 涛 强 明 超 磊 杰 鹏",
}
FIRST, SECOND = "晓小文志建国海春玉金子梓雨佳思俊明永家天宏庆瑞新", "华英明芳平军梅兰林生荣辉涵萱轩怡琪豪宇杰峰超洁霞"
HOMOPHONES = (
    "晓小筱",
    "英瑛莹",
    "芳方",
    "伟玮炜",
    "静婧",
    "敏闵",
    "玲铃琳",
    "涵含函",
    "轩宣萱",
    "怡仪宜",
    "子紫梓",
    "佳嘉家",
    "华桦",
    "珍真贞",
    "梅媚",
    "丽莉俐",
    "燕艳",
    "强墙",
    "海",
    "俊军君",
    "明铭",
    "志智",
    "建健",
    "国",
    "秀",
    "玉钰",
    "桂贵",
    "兰岚",
)
SOUNDS = {character: group for group in HOMOPHONES for character in group if len(group) > 1}
FILLER_IDS = ("110101190001011009", "330000000000000000")
FACILITIES = tuple(
    [("CTY", 1.0, 30), ("TCM", 1.0, 12), ("MCH", 1.0, 8)]
    + [(f"TWP{n}", 2.0, 3) for n in range(11)]
    + [(f"VIL{n}", 3.0, 1) for n in range(30)]
)
PER_PERSON = ((1, 28), (2, 30), (3, 20), (4, 12), (5, 7), (6, 3))  # Patients of one person, of a hundred persons: 2.5 on average


@dataclass(slots=True)
class Resident:
    number: int
    name: str
    sex: str
    born: date
    id_number: str
    phone: str
    town: str
    group: int
    house: int
    account: str
    card: str
    family: list[Resident] = field(default_factory=list)
    mother: Resident | None = None
    order: int = 0  # of twins

    @property
    def newborn(self) -> bool:
        return self.born > TODAY - timedelta(days=300)


class Held(NamedTuple):
    """One facility's Patient, and the resident whose it is."""

    patient: dict[str, Any]
    facility: str
    resident: int


def county(people: int, seed: int = 1) -> list[Held]:
    """Two and a half Patients a resident, in the order in which they come."""
    rng = random.Random(seed)
    residents = list(_residents(people, rng))
    held = [each for resident in residents for each in _held(resident, residents, rng)]
    rng.shuffle(held)
    return held


# -- residents


def _residents(people: int, rng: random.Random) -> Iterator[Resident]:
    number = 0
    while number < people:
        family = _family(number, rng)[: people - number]
        for each in family:
            each.family = [other for other in family if other is not each]
        number += len(family)
        yield from family


def _family(number: int, rng: random.Random) -> list[Resident]:
    """A couple, perhaps its children, among them twins, perhaps a grandparent; one house."""
    town, group, house = rng.choice(VILLAGES), rng.randrange(1, 13), rng.randrange(1, 260)
    account = f"J{rng.randrange(10**9, 10**10)}"
    shares = rng.random() < 0.4
    age = int(min(90, max(21, rng.gauss(48, 16))))
    members: list[Resident] = []

    def add(surname: str, sex: str, years: float, like: Resident | None = None) -> Resident:
        born = like.born if like else TODAY - timedelta(days=int(years * 365.25) + rng.randrange(365))
        serial = 2 * (number + len(members)) % 980 + 10  # nobody's twice: a day has some seven births
        one = Resident(
            number + len(members),
            surname + _given(sex, born, rng),
            sex,
            born,
            _id_number(born, serial, sex),
            _phone(rng),
            town,
            group,
            house,
            account if shares else f"P{rng.randrange(10**9, 10**10)}",
            f"{rng.randrange(10**9, 10**10)}" if rng.random() < 0.6 else "",
        )
        members.append(one)
        return one

    surname = _surname(rng)
    father = add(surname, "male", age)
    mother = add(_surname(rng), "female", age - rng.uniform(-3, 5)) if rng.random() < 0.85 else None
    if mother is not None:
        for _ in range(rng.choice((0, 1, 1, 1, 2, 2))):
            years = max(0.0, age - rng.uniform(22, 34))
            child = add(surname, rng.choice(("female", "male")), years)
            child.mother = mother
            if rng.random() < 0.012:
                sex = child.sex if rng.random() < 0.6 else rng.choice(("female", "male"))
                _twin(child, add(surname, sex, 0, child), rng)
    if rng.random() < 0.25:
        add(surname, rng.choice(("female", "male")), min(97.0, age + rng.uniform(20, 32)))
    for each in members:
        if each.born > TODAY - timedelta(days=365 * 14) or each.born < TODAY - timedelta(days=365 * 75):
            each.phone = father.phone
    return members


def _twin(one: Resident, other: Resident, rng: random.Random) -> None:
    """Twins are often called alike, and never the same."""
    while (name := one.name[:-1] + rng.choice(SECOND) if rng.random() < 0.6 else other.name) == one.name:
        pass
    other.name, other.mother, one.order, other.order = name, one.mother, 1, 2


def _surname(rng: random.Random) -> str:
    return rng.choices(list(SURNAMES), list(SURNAMES.values()))[0]


def _given(sex: str, born: date, rng: random.Random) -> str:
    if rng.random() < 0.5:
        return rng.choice((OLD if born.year < 1975 else YOUNG)[sex].split())
    return rng.choice(FIRST) + rng.choice(SECOND)


def _phone(rng: random.Random) -> str:
    return f"1{rng.choice('35789')}{rng.randrange(10**8, 10**9)}"


def _id_number(born: date, serial: int, sex: str) -> str:
    first17 = f"{AREA}{born:%Y%m%d}{serial - serial % 2 + (sex == 'male'):03d}"
    return first17 + id_check(first17)


# -- what the facilities hold


def _held(resident: Resident, everyone: list[Resident], rng: random.Random) -> Iterator[Held]:
    counts, shares = zip(*PER_PERSON, strict=True)
    weights = [weight for _, _, weight in FACILITIES]
    for number in range(rng.choices(counts, shares)[0]):
        facility, carelessness, _ = rng.choices(FACILITIES, weights)[0]
        local = f"{resident.number:07d}{number}"
        patient = _Clerk(resident, everyone, carelessness, rng).patient(facility, local)
        yield Held(patient, facility, resident.number)


class _Clerk:
    """Types what a resident says or a card shows."""

    def __init__(self, resident: Resident, everyone: list[Resident], carelessness: float, rng: random.Random) -> None:
        self._resident, self._everyone, self._rng, self._carelessness = resident, everyone, rng, carelessness
        self._unnamed = resident.newborn and resident.mother is not None and rng.random() < 0.6

    def _errs(self, probability: float) -> bool:
        return self._rng.random() < probability * self._carelessness

    def patient(self, facility: str, local: str) -> dict[str, Any]:
        values: dict[str, Any] = {
            "resourceType": "Patient",
            "id": resource_id("Patient", facility, local),
            "meta": {"tag": [{"system": FACILITY_TAG, "code": facility}]},
            "identifier": [*self._numbers(facility), {"system": f"urn:hub:{facility}:patient", "value": local}],
            "name": [{"text": name}] if (name := self._name()) else None,
            "gender": self._sex(),
            "birthDate": self._born(),
            "telecom": [{"system": "phone", "value": phone}] if (phone := self._phone()) else None,
            "address": [{"text": address}] if (address := self._address()) else None,
        }
        if self._unnamed and self._resident.order and self._rng.random() < 0.5:
            values["multipleBirthInteger"] = self._resident.order
        return {element: value for element, value in values.items() if value}

    def _numbers(self, facility: str) -> Iterator[dict[str, Any]]:
        resident, rng = self._resident, self._rng
        if number := self._id_number():
            yield {"system": ID_CARD, "value": number}
        if resident.card and rng.random() < 0.3:
            owner = rng.choice(resident.family) if resident.family and self._errs(0.01) else resident
            if owner.card:
                yield {"system": HEALTH_CARD, "value": owner.card}
        if rng.random() < 0.5:
            yield {"system": f"urn:hub:{facility}:insurance", "value": resident.account}
        if self._errs(0.001):  # another facility's number, of somebody else
            yield {"system": "urn:hub:CTY:patient", "value": f"{rng.choice(self._everyone).number:07d}0"}

    def _id_number(self) -> str:
        resident, rng = self._resident, self._rng
        if self._unnamed and resident.mother is not None:
            return resident.mother.id_number if rng.random() < 0.7 else ""
        age = (TODAY - resident.born).days // 365
        if self._errs(0.22) or (age < 14 and rng.random() < 0.45) or (age > 80 and rng.random() < 0.15):
            return ""
        if resident.family and self._errs(0.004):
            return rng.choice(resident.family).id_number
        if resident.mother is not None and age < 14 and self._errs(0.01):
            return resident.mother.id_number
        if self._errs(0.0005):
            return str(rng.choice(FILLER_IDS))
        number = resident.id_number
        if self._errs(0.006):
            place = rng.randrange(17)
            return number[:place] + str((int(number[place]) + rng.randrange(1, 10)) % 10) + number[place + 1 :]
        if 1900 <= resident.born.year < 2000 and self._errs(0.01):
            return old_id_number(number)
        return number.lower() if rng.random() < 0.5 else number

    def _name(self) -> str:
        resident, rng = self._resident, self._rng
        if self._unnamed and resident.mother is not None:
            child = "子" if resident.sex == "male" else "女"
            return resident.mother.name + rng.choice((f"之{child}", "毛毛", f"之{child}", "宝宝"))
        name = resident.name
        if self._errs(0.006) and (places := [n for n in range(1, len(name)) if name[n] in SOUNDS]):
            place = rng.choice(places)
            name = name[:place] + rng.choice(SOUNDS[name[place]].replace(name[place], "")) + name[place + 1 :]
        elif self._errs(0.002):
            name = name[:-1] + rng.choice(SECOND)
        elif self._errs(0.004):
            return pinyin_forms(name)[0].upper()
        elif self._errs(0.001):
            return rng.choice(("", "无名氏"))
        return f"{name[0]} {name[1:]}" if self._errs(0.01) else name

    def _sex(self) -> str:
        if self._errs(0.003):
            return "male" if self._resident.sex == "female" else "female"
        return "unknown" if self._errs(0.01) else self._resident.sex

    def _born(self) -> str:
        born, rng = self._resident.born, self._rng
        if self._errs(0.012):
            return ""
        if self._errs(0.003) and born.day <= 12:
            return f"{born.year}-{born.day:02d}-{born.month:02d}"
        if self._errs(0.003):
            return _mistyped(born, rng)
        if self._errs(0.006):
            return _lunar(born)
        if self._errs(0.006):
            return f"{born.year}-01-01"
        if self._errs(0.002):
            return f"{born.year}"
        if self._errs(0.0015):
            return str(born + timedelta(days=rng.randrange(-4000, 4000)))[:10]
        return str(born)

    def _phone(self) -> str:
        resident, rng = self._resident, self._rng
        if self._errs(0.08):
            return ""
        if self._errs(0.015):
            return f"138{sum(map(ord, resident.town)) % 97:02d}{resident.group:02d}6601"  # the village doctor's
        if self._errs(0.008):
            return rng.choice(("00000000000", "13800138000", "13888888888"))
        if self._errs(0.06):
            return _phone(rng)  # a former one
        if resident.family and self._errs(0.05):
            return rng.choice(resident.family).phone
        return f"+86 {resident.phone[:3]}-{resident.phone[3:7]}-{resident.phone[7:]}" if self._errs(0.02) else resident.phone

    def _address(self) -> str:
        resident, rng = self._resident, self._rng
        group, house = f"{resident.group}组", f"{resident.house}号"
        if self._errs(0.08):
            return ""
        if self._errs(0.03):
            return f"示范县{rng.choice(VILLAGES)}{rng.randrange(1, 13)}组{rng.randrange(1, 260)}号"  # a former one
        if self._errs(0.06):
            return resident.town
        if self._errs(0.08):
            return f"{resident.town}{group}"
        if self._errs(0.03):
            return f"浙江省示范县{resident.town}{_in_characters(resident.group)}组{house}"
        return f"{'示范县' if rng.random() < 0.7 else ''}{resident.town}{group}{house}"


def _mistyped(born: date, rng: random.Random) -> str:
    text = str(born)
    for _ in range(20):
        place = rng.choice((3, 5, 6, 8, 9))
        wrong = text[:place] + str(rng.randrange(10)) + text[place + 1 :]
        try:
            if wrong != text and date.fromisoformat(wrong) <= TODAY:
                return wrong
        except ValueError:
            continue
    return text


def _lunar(born: date) -> str:
    """The date that the Chinese calendar has for the day, as it is told and typed."""
    for back in range(15, 60):
        told = born - timedelta(days=back)
        if born in gregorian(told.year, told.month, told.day):
            return str(told)
    return str(born)


def _in_characters(number: int) -> str:
    digits = "零一二三四五六七八九十"
    return digits[number] if number <= 10 else "十" + digits[number - 10]
