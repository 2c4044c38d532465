"""Spellings of units: every one of the table, and the ways in which systems write a power of ten, a micro sign and a dot."""

from __future__ import annotations

from collections import defaultdict

import pytest

from hub.search.units import canonical, parsed
from mappers.datatypes import quantity
from mappers.units import EXACT, folded_unit, spellings, ucum_of


def test_every_code_of_the_table_is_ucum_and_every_spelling_means_one_code():
    meant = defaultdict(set)
    for part, codes in spellings().items():
        for code, written in codes.items():
            assert parsed(code), code
            assert ucum_of(code) == code, code
            for spelling in written:
                assert ucum_of(spelling) == code, spelling
                meant[part == EXACT, folded_unit(spelling) if part == EXACT else folded_unit(spelling).casefold()].add(code)
    assert {spelling: codes for spelling, codes in meant.items() if len(codes) > 1} == {}


WRITTEN = {
    "10*9/L": "10^9/L ×10⁹/L x10^9/L X10^9/L 10E9/L 10e9/l *10^9/L 1×10^9/L 10~9/L 10'9/L 10*9/L ×10＾9／L E9/L G/L ×10E+9/L"
    " 10(9)/L ×10^(9)/L 10^9个/L",
    "10*12/L": "10^12/L ×10¹²/L 10E12/L T/L",
    "10*4/uL": "万/uL ×10^4/μl",
    "umol/L": "μmol/L µmol/L umol/l UMOL/L ΜMOL/L 微摩尔/升",
    "mmol/L": "mmol/l mmol／L MMOL/L 毫摩尔/升",
    "[IU]/L": "IU/L iu/l",
    "U/L": "U/L u/l 单位/升",
    "m[IU]/L": "mIU/L MIU/L",
    "/[HPF]": "/HP /HPF 个/HP 个/高倍视野",
    "mm[Hg]": "mmHg MMHG 毫米汞柱",
    "Cel": "℃ °C 摄氏度",
    "[ppth]": "‰",
    "%": "% ％",
    "kg/m2": "kg/m2 kg/m² kg/㎡ kg/m^2",
    "mL/min/{1.73_m2}": "ml/min/1.73m2 mL/(min·1.73m²) mL/(min*1.73m^2)",
    "mosm/kg": "mOsm/kg mOsm/kgH2O",
    "mg/g{creat}": "mg/gCr mg/g·Cr",
    "ug{FEU}/mL": "ug/mlFEU μg/mL(FEU)",
    "{copies}/mL": "copies/ml 拷贝/毫升",
    "mmol/(24.h)": "mmol/24h",
    "mPa.s": "mPa·s mPa.s",
    "g/L": "g/L g/l g/L. 克/升",
    "10*6/uL": "M/uL 10^6/μL",
    "/uL": "cells/μL 个/μl",
    "s": "s S 秒 sec. 秒(s)",
    "ng/mL/h": "ng/(mL·h) ng/ml/hr",
}


@pytest.mark.parametrize("code", WRITTEN)
def test_however_it_is_written(code):
    assert {spelling: ucum_of(spelling) for spelling in WRITTEN[code].split()} == dict.fromkeys(WRITTEN[code].split(), code)


@pytest.mark.parametrize(
    "text",
    ["", "AU/mL", "RU/mL", "COI", "S/CO", "单位", "U", "M", "分", "片", "mmo1/L", "阴性", "10^9", "10-9/L", "ng/ml·h", "x" * 500],
)
def test_what_only_one_method_has_or_nobody_knows_stays_text(text):
    assert ucum_of(text) is None
    assert "code" not in quantity(1, text)


def test_what_is_the_same_amount_compares_as_the_same_and_nothing_else_does():
    def base(value, written):
        found = canonical(value, value, value, ucum_of(written))
        return found and (found[0], found[3])

    assert base(5.4, "mmol/l") == base(5400, "μmol/L")
    assert base(6.1, "×10⁹/L") == base(6.1, "10^3/uL")
    assert base(1, "IU/L") != base(1, "U/L")
    assert base(1, "mg/dL") != base(1, "mmol/L")
    assert base(0.5, "ug/mL FEU") == base(500, "ng/mLFEU")
