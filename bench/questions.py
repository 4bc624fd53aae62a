"""What the next question of an adaptive form costs: each policy's form gone through on charts of its own cases."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from cds_service.adapters.definition_files import read_definition_folders
from cds_service.dtr.dialects import DTR_21
from cds_service.dtr.next_question import go_on, read_asked
from cds_service.policy.case_file import read_cases
from cds_service.policy.cases import situation_of
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.model import Situation
from cds_service.policy.plan import Policy
from cds_service.settings import read_settings

CHARTS = 5  # of each policy, those that come first in its cases
MOST_CALLS = 60
AT = datetime.fromisoformat("2026-11-22T12:00:00-05:00")


def costs(catalogue: Catalogue) -> Iterator[tuple[str, float, float]]:
    """Policy, CPU ms of the dearest first call, CPU ms of the dearest later one; everything answered with don't know,
    which leaves the most open."""
    for policy, situations in _charts(catalogue):
        first = later = 0.0
        for situation in situations:
            spent = list(_gone_through(policy, situation, catalogue))
            first, later = max(first, spent[0]), max(later, *spent[1:], 0.0)
        yield f"{policy.id}|{policy.version}", first, later


def _charts(catalogue: Catalogue) -> Iterator[tuple[Policy, list[Situation]]]:
    settings, _ = read_settings({})
    assert settings is not None
    for cases in read_definition_folders(settings.plans, settings.valuesets).cases:
        folder = cases.where.rpartition("/")[0]
        policy = next((one for one in catalogue.policies if one.where.startswith(f"{folder}/")), None)
        if policy is None or policy.form is None:
            continue
        file, _ = read_cases(cases.text, cases.where, cases.charts)
        charts = [one for one in file.cases if one.whole_chart][:CHARTS]
        yield policy, [replace(situation_of(one, policy), answers={}) for one in charts]


def _gone_through(policy: Policy, situation: Situation, catalogue: Catalogue) -> Iterator[float]:
    assert policy.form is not None
    response: Mapping[str, Any] = {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": policy.form.canonical,
        "status": "in-progress",
        "authored": AT.isoformat(),
    }
    for _ in range(MOST_CALLS):
        before = time.process_time_ns()
        asked = read_asked(response, catalogue)
        assert not isinstance(asked, list), asked
        reply = go_on(asked, situation, AT, DTR_21, "http://x/fhir")
        yield (time.process_time_ns() - before) / 1e6
        if reply.done:
            return
        form = reply.response["contained"][0]
        response = {**reply.response, "item": _answered(form.get("item", ()))}


def _answered(items: Any) -> list[dict[str, Any]]:
    """Don't know to every choice that lets one say so, else its last option."""
    found: list[dict[str, Any]] = []
    for item in items:
        below = _answered(item.get("item", ()))
        if item["type"] == "group":
            found.append({"linkId": item["linkId"], "item": below})
        elif item["type"] == "choice":
            answer = {"valueCoding": item["answerOption"][-1]["valueCoding"], **({"item": below} if below else {})}
            found.append({"linkId": item["linkId"], "answer": [answer]})
    return found
