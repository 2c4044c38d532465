"""county.toml as hospital IT writes it."""

from __future__ import annotations

import pytest

from hub.errors import Invalid
from hub.settings import load_county


def county(folder, text: str):
    path = folder / "county.toml"
    path.write_text(text, "utf-8")
    return load_county(path)


@pytest.mark.parametrize("zone", ["+08:00", "Asia/Shanghai", "Asia/Urumqi", "+06:00"])
def test_a_channels_zone_may_be_an_offset_or_a_name_without_summer_time(tmp_path, zone):
    (channel,) = county(tmp_path, f'[[channel]]\nname = "a"\nconnector = "files"\nzone = "{zone}"\n').channels
    assert channel.zone in {"+08:00", "+06:00"}


@pytest.mark.parametrize("zone", ["Mars", "Europe/Berlin", "8", ""])
def test_a_zone_that_is_none_is_named(tmp_path, zone):
    with pytest.raises(Invalid, match="zone"):
        county(tmp_path, f'[[channel]]\nname = "a"\nconnector = "files"\nzone = "{zone}"\n')


def test_the_countys_own_zone_is_chinas(tmp_path):
    assert county(tmp_path, '[county]\nzone = "Asia/Shanghai"\n').zone == "+08:00"
    with pytest.raises(Invalid, match=r"must be \+08:00"):
        county(tmp_path, '[county]\nzone = "+07:00"\n')
