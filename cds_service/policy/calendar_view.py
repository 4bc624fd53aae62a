"""The call and the order on a calendar of business days: what `%calendar` holds. Pure; worked out where it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cds_service.fhir.dates import FhirDate
from cds_service.fhir.working_days import Moment, business_day_before, holiday, next_business_day

if TYPE_CHECKING:
    from cds_service.policy.model import Situation


def calendar_view(situation: Situation) -> dict[str, Any]:
    """The day and hour of the call in the service's zone, and the business days around the call and the first day.

    `nextBusinessDay` is after the day of the call, `businessDayBeforeFirstDay` before the first day of service. What
    cannot be said (a first day without its day, a year nobody knows the holidays of) is absent.
    """
    moment = Moment.of(situation.asked_at, situation.business_hours)
    view: dict[str, Any] = {"date": FhirDate.of_day(moment.day), "day": moment.kind, "hours": moment.hours}
    name = holiday(moment.day) if moment.kind == "holiday" else None
    if name is not None:
        view["holiday"] = name
    following = next_business_day(moment.day)
    if following is not None:
        view["nextBusinessDay"] = FhirDate.of_day(following)
    first = situation.line.get("firstDay")
    before = business_day_before(first.first_day) if first is not None and first.precision == "day" else None
    if before is not None:
        view["businessDayBeforeFirstDay"] = FhirDate.of_day(before)
    return view
