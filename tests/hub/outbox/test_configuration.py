"""What county.toml says of a destination, and what is told of it when it is wrong."""

from __future__ import annotations

import pytest

from hub.app import open_hub
from hub.errors import Invalid
from hub.settings import load_county
from tests.hub.outbox.resources import county, destination

HEAD = """
[[facility]]
code = "CTY"
name = "示范县人民医院"
[[destination]]
name = "his"
kind = "mllp"
"""
RIGHT = 'facility = "CTY"\ncriteria = ["DiagnosticReport?status=final"]\nhost = "127.0.0.1"\nport = 6661\n'


def loaded(tmp_path, text):
    file = tmp_path / "county.toml"
    file.write_text(HEAD + text)
    return load_county(file)


def test_a_destination_is_read_from_the_file(tmp_path):
    (his,) = loaded(tmp_path, RIGHT).destinations
    assert (his.name, his.kind, his.facility) == ("his", "mllp", "CTY")
    assert his.options == {"host": "127.0.0.1", "port": 6661}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (RIGHT.replace('"CTY"', '"TWN"'), "destination his: no facility TWN"),
        (RIGHT.replace('facility = "CTY"\n', ""), "destination.0.facility"),
        (RIGHT + HEAD.partition("[[destination]]")[2].join(["[[destination]]", RIGHT]), "destination his is stated twice"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_by_its_place(tmp_path, text, says):
    with pytest.raises(Invalid, match=says):
        loaded(tmp_path, text)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (destination("a", "mllp", port=1), "destination a: host: Field required"),
        (destination("a", "mllp", host="h", port=1, hots="x"), "destination a: hots: no such option; there are charset"),
        (destination("a", "fhir", base_url="ftp://h"), "destination a: base_url"),
        (destination("a", "fhir", base_url="http://h/fhir", auth="bearer"), "destination a: options: .*secret_file and secret_env"),
        (destination("a", "mllp", host="h", port=1, criteria=["Observation?nonsense=1"]), "destination a: criteria: .*nonsense"),
        (destination("a", "mllp", host="h", port=1, criteria=["AuditEvent"]), "destination a: criteria: AuditEvent cannot"),
        (destination("a", "mllp", host="h", port=1, tls=True, ca_file="/no/such.pem"), "destination a: tls: /no/such.pem"),
    ],
)
def test_a_hub_does_not_start_with_a_destination_that_could_never_be_served(tmp_path, wrong, says):
    with pytest.raises(Invalid, match=says):
        open_hub(tmp_path / "data", county(wrong)).close()
