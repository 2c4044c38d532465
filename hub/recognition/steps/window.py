"""Step 6: recent enough for the setting.

By default days are calendar days of the county: performed on the 1st with a window of 7 days holds to the end of the 8th, whatever
the hour. A catalogue may count hours instead (`window_counts`): then it holds for 7 times 24 hours, to the minute. A window of
0 days means never in that setting. A time known only to the month is no time.
"""

from __future__ import annotations

from datetime import timedelta

from hub.recognition.model import Order, Step
from hub.recognition.times import Moment

CLOCK_TOLERANCE = timedelta(minutes=5)  # between a device's clock and ours


def window(stated: str, moment: Moment | None, order: Order) -> Step:
    """`stated`: the time from which the item's clock runs, as the source says it."""
    clock = {"clock": order.item.clock_from}
    if moment is None:
        return Step(6, "window", "fail", "time-imprecise" if stated else "time-missing", {**clock, "stated": stated})
    if moment.begins(order.zone) > order.now + CLOCK_TOLERANCE:
        return Step(6, "window", "fail", "time-in-future", clock)
    days = order.item.validity_days.get(order.context)
    params = {**clock, "age": str(max(0, order.age_of(moment))), "days": str(days or 0), "context": order.context}
    if not days:
        return Step(6, "window", "fail", "window-not-set" if days is None else "window-never", params)
    if _inside(moment, days, order):
        return Step(6, "window", "pass", "window-inside", params)
    return Step(6, "window", "fail", "window-over", params)


def _inside(moment: Moment, days: int, order: Order) -> bool:
    if order.catalogue.catalogue.window_counts == "hours" and moment.at is not None:
        return order.now <= moment.at + timedelta(days=days)
    return order.age_of(moment) <= days
