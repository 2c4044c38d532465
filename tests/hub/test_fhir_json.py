"""Values come back as they came; what FHIR must not see is refused at the door."""

from __future__ import annotations

import copy
import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.fhir_json import BadJson, dump, load, parse


@pytest.mark.parametrize("text", ["72.50", "1e3", "1E3", "1.0e-7", "0.00", "-0", "-0.0", "1e+2", "12345678901234567890123", "5"])
def test_a_number_goes_out_as_it_came_in(text):
    assert dump(parse(b'{"value":%s}' % text.encode())) == b'{"value":%s}' % text.encode()


def test_a_number_keeps_its_spelling_when_it_is_copied_or_sent_to_another_process():
    number = parse(b'{"value":1e3}')["value"]
    assert number == Decimal(1000)
    assert str(copy.deepcopy(number)) == str(pickle.loads(pickle.dumps(number))) == "1e3"


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_every_decimal_survives(number):
    assert load(dump({"value": number}))["value"] == number


def test_members_keep_their_order():
    text = b'{"z":1,"a":{"y":true,"b":null},"m":[3,2,1]}'
    assert dump(parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b"[]",
        b'{"a":"\\ud800"}',
        b'{"a":' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":"\xff"}',
        b"{",
    ],
)
def test_what_json_allows_but_fhir_must_not_see_is_refused(text):
    with pytest.raises(BadJson):
        parse(text)
