"""Three-valued logic over statuses. Not-applicable members are left out by whoever asks; nothing else lives here."""

from __future__ import annotations

from collections.abc import Iterable

from cds_service.policy.model import Status


def all_of(statuses: Iterable[Status]) -> Status:
    """Kleene *and* over statuses other than not-applicable."""
    result = Status.MET
    for status in statuses:
        match status:
            case Status.NOT_MET:
                return Status.NOT_MET
            case Status.UNKNOWN:
                result = Status.UNKNOWN
            case Status.MET | Status.NOT_APPLICABLE:
                pass
    return result


def any_of(statuses: Iterable[Status]) -> Status:
    """Kleene *or* over statuses other than not-applicable."""
    result = Status.NOT_MET
    for status in statuses:
        match status:
            case Status.MET:
                return Status.MET
            case Status.UNKNOWN:
                result = Status.UNKNOWN
            case Status.NOT_MET | Status.NOT_APPLICABLE:
                pass
    return result
