"""Units of the laboratory in base units; the package's own arithmetic and the specification's examples as the oracle."""

from __future__ import annotations

import csv
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from hub.search.numbers import UNBOUNDED, number_range
from hub.search.units import LONGEST, atoms, canonical


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((5, "mmol/L"), (5000, "umol/L")),
        ((5, "mmol/l"), (5, "mol/m3")),
        ((140, "g/L"), (14, "g/dL")),
        ((90, "mg/dL"), (0.9, "g/L")),
        ((4.5, "10*9/L"), (4500, "/uL")),
        ((4.5, "10*9/L"), (4.5, "10*3/uL")),
        ((4.8, "10*12/L"), (4.8, "10*6/uL")),
        ((90, "fL"), (90, "um3")),
        ((30, "pg"), (0.03, "ng")),
        ((40, "U/L"), (40, "umol/min/L")),
        ((40, "U/L"), (0.04, "kU/L")),
        ((7, "[iU]/L"), (7000, "m[iU]/L")),
        ((7, "[iU]/L"), (7, "[IU]/L")),
        ((45, "%"), (0.45, "1")),
        ((120, "mm[Hg]"), (15.99864, "kPa")),
        ((70, "kg"), (70000, "g")),
        ((170, "cm"), (1.7, "m")),
        ((37, "Cel"), (98.6, "[degF]")),
        ((100, "mL/min"), (6, "L/h")),
        ((3, "ng/mL"), (3, "ug/L")),
        ((3, "mg/g{creat}"), (0.3, "%")),
        ((2, "g/(24.h)"), (2, "g/d")),
    ],
)
def test_equal_quantities_are_equal(one, other):
    assert canonical(*one[:1] * 3, one[1]) == canonical(*other[:1] * 3, other[1])


@pytest.mark.parametrize("pair", [("[iU]/L", "U/L"), ("[iU]/L", "/L"), ("/[HPF]", "/[LPF]"), ("/[HPF]", "1"), ("mmol/L", "/L")])
def test_what_is_defined_by_a_procedure_is_like_itself_alone(pair):
    first, second = (canonical(1, 1, 2, code) for code in pair)
    assert first[3] != second[3]


def test_precision_stays_an_interval():
    assert canonical(5, *number_range(5), "mmol/L") == (5, 4.5, 5.5, "m-3.mol")
    assert canonical(5, -UNBOUNDED, 5, "mg") == (0.005, -UNBOUNDED, 0.005, "g")


@pytest.mark.parametrize(
    "code",
    ["", "mmHg", "IU/L", "毫摩尔/升", "µmol/L", "(", "()", "m)", "m..g", "/", "m g", "0", "mCel", "Cel/min", "10*999"],
)
def test_what_is_no_ucum_has_no_base_unit(code):
    assert canonical(1, 1, 2, code) is None


@pytest.mark.parametrize("code", ["m" * 5000, "(" * LONGEST, ".".join(["10*99"] * 13), "9" * LONGEST])
def test_a_code_that_is_made_to_cost_costs_nothing(code):
    found = canonical(1, 1, 2, code)
    assert found is None or found[2] == 2 * float("9" * LONGEST)


def test_every_atom_and_every_example_of_the_specification_is_read():
    assert [atom for atom in atoms() if canonical(1, 1, 2, atom) is None] == []
    table = Path(find_spec("ucumvert").origin).parent / "vendor" / "ucum_examples.tsv"
    with table.open(encoding="utf-8") as file:
        codes = [row["UCUM_CODE"] for row in csv.DictReader(file, delimiter="\t")]
    assert [code for code in codes if canonical(1, 1, 2, code) is None] == ["Torr"]  # an example that the table does not define


def test_the_package_s_own_arithmetic_agrees():
    """Where pint and UCUM mean the same; they differ by millionths in the weight of mercury."""
    from ucumvert import PintUcumRegistry

    units = PintUcumRegistry()
    for code, base in (("mmol/L", "mol/m^3"), ("U/L", "mol/m^3/s"), ("mL/min", "m^3/s"), ("kPa", "g/m/s^2"), ("[lb_av]", "g")):
        ours = canonical(1, 1, 1, code)
        assert ours is not None
        assert ours[0] == pytest.approx(units.from_ucum(code).to(base).magnitude, rel=1e-9)


def test_units_cost_a_start_nothing():
    said = (
        "import sys, hub.search.units as u; u.canonical(1, 1, 2, 'mmol/L'); print(*{'pint', 'lark', 'ucumvert'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True).stdout.strip() == ""
