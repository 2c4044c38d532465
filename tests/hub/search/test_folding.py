"""Names are found however they are typed."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hub.search.folding import fold, fold_code, pinyin_forms


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  Müller－LÜDENSCHEIDT ", "muller-ludenscheidt"),
        ("Ａｄａｍ　Smith", "adam smith"),
        ("Straße", "strasse"),
        ("Λόγος", "λογοσ"),
        ("Łukasz Ødegård", "lukasz odegard"),
        ("Nguyễn Văn Đức", "nguyen van duc"),
        ("张  三", "张 三"),
        ("がん", "がん"),  # the mark is part of the letter
        ("한글", "한글"),
        ("⽼⼈", "老人"),  # radicals that look like the characters
        ("①Ⅳ", "1iv"),
    ],
)
def test_case_accents_and_width_make_no_difference(text, folded):
    assert fold(text) == folded


@settings(deadline=None)
@given(st.text())
@example("ͅΑ")
@example("İ")
def test_folding_twice_changes_nothing(text):
    assert fold(fold(text)) == fold(text)


@settings(deadline=None)
@given(st.text())
def test_upper_and_lower_case_fold_alike(text):
    if text.lower().upper() == text.upper():  # a few letters have no way back
        assert fold(text.lower()) == fold(text.lower().casefold())
    assert fold(text) == fold(f"  {text}\t")


@settings(deadline=None)
@given(st.text(alphabet="ABCxyzÄöüﬁ　 -'"))
def test_latin_case_and_spacing(text):
    assert fold(text) == fold(text.upper()) == fold(" ".join(text.split()))


def test_codes_keep_everything_but_case():
    assert fold_code("  MmHg-Ä") == "  mmhg-ä"


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        ("张三", ("zhangsan", "zs")),
        ("曾小乐", ("zengxiaole", "zengxiaoyue", "zxl", "zxy")),
        ("吕布", ("lvbu", "lyubu", "lb")),
        ("万俟卨", ("moqixie", "mqx")),
        ("尉迟恭", ("yuchigong", "ycg")),
        ("长孙无忌", ("zhangsunwuji", "zswj")),
        ("欧阳 锋", ("ouyangfeng", "oyf")),
        ("阿依古丽·买买提", ("ayigulimaimaiti", "ayglmmt")),
        ("张Ｊ", ("zhangj", "zj")),
        ("Smith", ()),
        ("", ()),
        ("患者" * 30, ()),
    ],
)
def test_chinese_names_have_pinyin_and_initials(name, forms):
    assert pinyin_forms(name) == forms


READINGS = [
    "曾zeng", "仇qiu", "查zha", "解xie", "单shan", "区ou", "朴piao", "任ren", "盖ge", "尹yin",
    "卜bu", "翟zhai", "翟di", "覃qin", "覃tan", "缪miao", "召shao", "乐yue", "员yun", "牟mou",
    "种chong", "黑he", "折she", "祭zhai", "秘bi", "能nai", "尉wei", "万wan", "石shi", "沈shen",
    "柏bai", "冼xian", "逄pang", "晁chao", "冯feng", "华hua", "纪ji", "葛ge", "宁ning", "單shan",
    "區ou", "王wang", "赵zhao",
]  # fmt: skip


@pytest.mark.parametrize("surname_and_reading", READINGS)
def test_surnames_are_read_as_surnames(surname_and_reading):
    surname, reading = surname_and_reading[0], surname_and_reading[1:]
    assert f"{reading}wei" in pinyin_forms(f"{surname}伟")


@settings(deadline=None)
@given(st.text(alphabet="张王李赵曾乐行长重茜柏单查· a", max_size=12))
def test_forms_are_few_and_plain_letters(name):
    forms = pinyin_forms(name)
    assert len(forms) <= 24
    assert len(set(forms)) == len(forms)
    assert all(form.isascii() and form.isalnum() for form in forms)
