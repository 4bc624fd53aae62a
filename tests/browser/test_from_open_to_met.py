"""The loop, for each policy that has a form: an order is signed, its form is answered, signed again it is met."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.charts import CHARTS, Chart
from tests.browser.drive import answer_all, completed, opened, origins, signed, verdicts
from tests.smart_ehr.server import SmartEhr


def root(determination: dict[str, Any]) -> tuple[str, str]:
    first = determination["criteria"][0]
    return first["id"], first["status"]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.form)
def test_what_was_open_is_met_once_the_form_is_answered(
    chart: Chart, page: Any, shot: Callable[[str], None], ehr_with: Callable[[Any], SmartEhr]
) -> None:
    ehr = ehr_with(chart.all)
    signed(page, ehr, chart.reference)
    shot("signed")
    criterion, status = root(ehr.clinic.determination(chart.reference))
    assert status == "unknown"
    [form] = ehr.clinic.questionnaires(chart.reference)
    assert form.split("/")[-1].split("|")[0] == chart.form

    opened(page)
    shot("form")
    answer_all(page, chart.answers)
    shot("answered")
    completed(page)
    shot("result")
    assert verdicts(page)[criterion] == "met"

    [response] = ehr.responses()
    assert (response["status"], response["questionnaire"]) == ("completed", form)
    assert response["subject"]["reference"].endswith("Patient/p1")
    assert response["author"] == {"reference": "Practitioner/dr1"}
    assert set(origins(response).values()) <= {"auto-server", "auto", "manual", "override"}
    assert "manual" in origins(response).values()

    signed(page, ehr, chart.reference)
    shot("signed-again")
    assert root(ehr.clinic.determination(chart.reference)) == (criterion, "met")


def test_every_form_that_stands_is_walked(payer: str) -> None:
    from tests.browser.conftest import ROOT

    standing = {path.parents[1].name for path in (ROOT / "plans").glob("*/*/*/Questionnaire.json")}
    walked = {chart.form for chart in CHARTS}
    assert {policy for policy in standing if not any(form.endswith(policy) for form in walked)} == set()
