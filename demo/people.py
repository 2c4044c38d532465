"""Synthetic residents. Nobody here exists: ID numbers lie in area 339900, which is not assigned to any county.

The same seed gives the same people. Some have what makes real registers hard: no ID number, rare characters, a namesake born on the
same day, a twin, an old 15-digit number, a lower-case x, a different spelling of the address at another facility.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from mappers.datatypes import id_check

AREA = "339900"
FACILITIES = ("CTY", "TCM", "TWP")

SURNAMES = (
    *"王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈",
    "仇",
    "查",
    "解",
    "单",
    "区",
    "朴",
    "欧阳",
    "尉迟",
)
GIVEN_FEMALE = (
    "秀英",
    "桂兰",
    "玉梅",
    "晓燕",
    "丽华",
    "淑珍",
    "婷婷",
    "雪梅",
    "春花",
    "美玲",
    "海燕",
    "佳怡",
    "子涵",
    "梓萱",
    "月娥",
    "彩霞",
    "艳",
    "娟",
    "敏",
    "静",
)
GIVEN_MALE = (
    "建国",
    "志强",
    "国华",
    "伟",
    "军",
    "勇",
    "明",
    "海涛",
    "德福",
    "永贵",
    "俊杰",
    "浩然",
    "子轩",
    "宇航",
    "文斌",
    "振东",
    "长根",
    "有才",
    "小东",
    "波",
)
RARE_NAMES = ("张喆堃", "李珅", "王玘", "陈㛃", "赵𠅤明", "刘竱", "黄翀", "周燚淼")
VILLAGES = ("青山镇桃源村", "青山镇石桥村", "云溪乡上坪村", "云溪乡柳树湾村", "城关镇东街", "城关镇解放路", "大岭乡双河村")


@dataclass(frozen=True, slots=True)
class Person:
    number: int
    name: str
    sex: str  # "1" male, "2" female (GB/T 2261.1)
    birth: date
    id_number: str  # "" for those who have none at hand
    phone: str
    address: str
    local: dict[str, str] = field(default_factory=dict)  # facility → the patient number it gave
    id_as_written: dict[str, str] = field(default_factory=dict)  # facility → the ID number as that facility wrote it

    @property
    def hero(self) -> bool:
        """The one whose story the demo tells."""
        return self.number == 0

    def number_at(self, facility: str) -> str:
        return self.id_as_written.get(facility, self.id_number)


def id_number(birth: date, serial: int, *, male: bool) -> str:
    """An 18-digit number with its right check digit; odd serial = male (GB 11643)."""
    serial = serial - serial % 2 + (1 if male else 0)
    first17 = f"{AREA}{birth:%Y%m%d}{serial % 1000:03d}"
    return first17 + id_check(first17)


def old_id_number(number: str) -> str:
    """The 15-digit form of before 1999: two-digit year, no check digit."""
    return number[:6] + number[8:17]


def make_people(count: int, seed: int, today: date) -> tuple[Person, ...]:
    """`count` residents; number 0 is known at all three facilities."""
    rng = random.Random(seed)
    people = [_hero()]
    for number in range(1, count):
        people.append(_special(number, people, rng, today) or _ordinary(number, rng, today))
    return tuple(people)


def _hero() -> Person:
    birth = date(1968, 3, 12)
    number = id_number(birth, 128, male=False)
    return Person(
        number=0,
        name="曾晓燕",
        sex="2",
        birth=birth,
        id_number=number,
        phone="13900000001",
        address=f"示范县{VILLAGES[0]}18号",
        local={"CTY": "C000001", "TCM": "80001", "TWP": "Q0001"},
        id_as_written={"TWP": number.lower()},
    )


def _ordinary(number: int, rng: random.Random, today: date, *, name: str = "") -> Person:
    male = rng.random() < 0.48
    age = min(94, max(1, int(rng.gauss(48, 22))))
    birth = today - timedelta(days=age * 365 + rng.randrange(365))
    if not name:
        name = rng.choice(SURNAMES) + rng.choice(GIVEN_MALE if male else GIVEN_FEMALE)
    has_number = rng.random() > (0.35 if age < 10 or age > 85 else 0.06)
    number18 = id_number(birth, rng.randrange(10, 990), male=male) if has_number else ""
    local = _local_numbers(number, rng)
    written = {}
    if number18.endswith("X") and rng.random() < 0.5:
        written[next(iter(local))] = number18.lower()
    if number18 and birth.year < 1999 and rng.random() < 0.05 and birth.year >= 1930:
        written[next(iter(local))] = old_id_number(number18)
    return Person(
        number=number,
        name=name,
        sex="1" if male else "2",
        birth=birth,
        id_number=number18,
        phone=f"139{number:08d}"[:11],
        address=f"示范县{rng.choice(VILLAGES)}{rng.randrange(1, 200)}号",
        local=local,
        id_as_written=written,
    )


def _local_numbers(number: int, rng: random.Random) -> dict[str, str]:
    every = {"CTY": f"C{number + 1:06d}", "TCM": f"8{number + 1:04d}", "TWP": f"Q{number + 1:04d}"}
    known = rng.choices((1, 2, 3), weights=(25, 45, 30))[0]
    chosen = set(rng.sample(FACILITIES, known))
    return {facility: local for facility, local in every.items() if facility in chosen}


def _special(number: int, people: list[Person], rng: random.Random, today: date) -> Person | None:
    """Every so often somebody whom a register gets wrong."""
    before = people[-1]
    if number % 25 == 5:  # a rare character, some outside GBK
        return _ordinary(number, rng, today, name=RARE_NAMES[number // 25 % len(RARE_NAMES)])
    if number % 40 == 12:  # same name, same birth date, another person
        other = _ordinary(number, rng, today, name=before.name)
        number18 = id_number(before.birth, rng.randrange(10, 990), male=before.sex == "1")
        if number18 == before.id_number:
            return None
        return replace(other, sex=before.sex, birth=before.birth, id_number=number18, id_as_written={})
    if number % 60 == 33:  # a twin: same birth date, phone and address
        twin = _ordinary(number, rng, today, name=before.name[0] + rng.choice(GIVEN_MALE))
        return replace(
            twin, sex="1", birth=before.birth, phone=before.phone, address=before.address, id_number="", id_as_written={}
        )
    return None
