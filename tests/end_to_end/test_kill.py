"""A sample of the kill campaign; the whole of it is `python -m tests.end_to_end.kill_campaign --kills 200`."""

from __future__ import annotations

import pytest

from tests.end_to_end.kill_campaign import Campaign


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_was_acknowledged_survives_kills_with_one_effect_each():
    campaign = Campaign(kills=4, seed=20240501, longest=0.5).run()
    print(campaign.table())
    assert campaign.broken == []
    assert campaign.facts["kills"] == 4
    assert campaign.facts["delivered by cty-lis"] > 20
    assert all(campaign.facts[f"delivered by cty-{door}"] > 0 for door in ("his", "emr", "pacs"))
    assert campaign.facts["looks with more records done"] > 0
