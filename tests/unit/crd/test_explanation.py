"""The determination as text: what a nurse reads on a terminal."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from cds_service.crd.coverage import OrderCoverage
from cds_service.crd.explanation import explain, explain_determination, explain_json
from cds_service.crd.orders import DraftLine, DraftOrder
from cds_service.crd.statements import Silence, Statement
from cds_service.policy.model import (
    Advice,
    Determination,
    DocumentVerdict,
    Evidence,
    ExclusionVerdict,
    Status,
    Suggestion,
    Verdict,
)

UNDER = "DeviceRequest/o1 under Coverage/c1"
SPO2 = Evidence("Observation/s1", "SpO2 87 %, 2026-11-02")

OXYGEN = Determination(
    policy="https://cds-service.example.org/fhir/PlanDefinition/acme-oxygen|2026-01-01",
    policy_id="acme-oxygen",
    policy_title="Home oxygen",
    source="Acme oxygen guideline",
    source_url=None,
    payer_name="Acme",
    code="E1390",
    item="Oxygen concentrator",
    on_date=date(2026, 11, 21),
    covered="covered",
    pa_needed="auth-needed",
    authorization_rule="auth.default",
    rule_title="Oxygen needs prior authorization",
    criteria=(
        Verdict("ox", "Oxygen is medically necessary", Status.UNKNOWN, group=True),
        Verdict("ox.low", "Low saturation at rest", Status.MET, "ox", "SpO2 87 % <= 88 %", (SPO2,)),
        Verdict("ox.stable", "Tested in a stable state", Status.UNKNOWN, "ox", candidates=(SPO2,)),
        Verdict("ox.lung", "Severe lung disease", Status.NOT_MET, "ox"),
        Verdict("ox.child", "Under 21", Status.NOT_APPLICABLE, "ox"),
        Verdict("ox.beside", "Room air was possible", Status.MET),
    ),
    documents=(DocumentVerdict("doc.report", "Oximetry report", "missing", "clinical", reason="None on file"),),
)


def test_the_criteria_stand_as_a_tree_with_what_is_behind_each() -> None:
    assert explain_determination(OXYGEN, UNDER).splitlines() == [
        "Oxygen concentrator (E1390), DeviceRequest/o1 under Coverage/c1",
        "Acme: Home oxygen, as of 2026-11-21",
        "",
        "  prior authorization needed",
        "  Oxygen needs prior authorization [auth.default]",
        "  covered: covered; prior authorization: auth-needed",
        "",
        "Criteria   (✓ met   ✗ not met   ? not known   – does not apply)",
        "  ? Oxygen is medically necessary [ox]",
        "    ✓ Low saturation at rest [ox.low]",
        "        SpO2 87 % <= 88 %",
        "        on record: SpO2 87 %, 2026-11-02 (Observation/s1)",
        "    ? Tested in a stable state [ox.stable]",
        "        not certain: SpO2 87 %, 2026-11-02 (Observation/s1)",
        "    ✗ Severe lung disease [ox.lung]",
        "    – Under 21 [ox.child]",
        "  ✓ Room air was possible [ox.beside]",
        "",
        "Documents",
        "  ✗ Oximetry report: missing [doc.report]",
        "      None on file",
        "",
        "Source: Acme oxygen guideline",
        "Policy: https://cds-service.example.org/fhir/PlanDefinition/acme-oxygen|2026-01-01",
    ]


def test_a_short_answer_has_no_tree() -> None:
    short = replace(OXYGEN, criteria=(), documents=(), reason=("The plan decides for itself",))
    text = explain_determination(short, UNDER)
    assert "Criteria" not in text and "Documents" not in text
    assert "  The plan decides for itself" in text


def test_exclusions_and_advice_are_told() -> None:
    add_rr = Suggestion("add-rr", "Add RR to the order", "update", ())
    told = replace(
        OXYGEN,
        exclusions=(ExclusionVerdict("excl.angina", "Angina alone", "fired", "I20.9", (SPO2,)),),
        advice=(Advice("advice.rr", "Rental needs RR", "Say that it is rented", (add_rr,)),),
    )
    text = explain_determination(told, UNDER)
    assert "Excluded\n  ✗ Angina alone [excl.angina]\n      I20.9\n" in text
    assert "Also\n  Rental needs RR\n      Say that it is rented\n      to do: Add RR to the order\n" in text


def test_text_of_the_chart_cannot_command_a_terminal() -> None:
    loud = Verdict("ox.low", "Low", Status.MET, "ox", reason="\x1b[2Jgone\nand \x07rung")
    text = explain_determination(replace(OXYGEN, criteria=(OXYGEN.criteria[0], loud)), UNDER)
    assert "\x1b" not in text and "\x07" not in text
    assert "[2Jgone and  rung" in text


def test_a_reason_that_only_repeats_the_title_is_cut_to_what_it_adds() -> None:
    unknown = Verdict("ox", "Tested in a stable state", Status.UNKNOWN, reason="Not recorded: Tested in a stable state")
    text = explain_determination(replace(OXYGEN, criteria=(unknown,)), UNDER)
    assert "  ? Tested in a stable state [ox]\n      Not recorded\n" in text


def test_what_does_not_apply_stands_on_one_line() -> None:
    root = Verdict("ox", "Portable", Status.NOT_APPLICABLE, reason="Does not apply: Portable", group=True)
    child = Verdict("ox.away", "Away from home", Status.NOT_APPLICABLE, "ox", "Does not apply: Away from home")
    text = explain_determination(replace(OXYGEN, criteria=(root, child)), UNDER)
    assert "  – Portable [ox]\n\n" in text
    assert "Away" not in text and "Does not apply" not in text


def test_how_to_mend_it_is_told_where_it_is_not_met_and_once() -> None:
    hint = "Give the flow in L/min."

    def told(status: Status, reason: str) -> str:
        flow = Verdict("ox.flow", "Flow", status, reason=reason, hint=hint)
        return explain_determination(replace(OXYGEN, criteria=(flow,)), UNDER)

    assert told(Status.NOT_MET, "The order does not say").count(hint) == 1
    assert told(Status.NOT_MET, f"The order does not say: {hint}").count(hint) == 1
    assert hint not in told(Status.MET, "The order gives it")


def test_an_order_without_a_determination_says_why_in_text_and_json() -> None:
    line = DraftLine(DraftOrder("draft", {}, {}), {"reference": "DeviceRequest/o1"}, date(2026, 11, 21))
    coverage = OrderCoverage({"reference": "Coverage/c1"}, "active")
    silence = Silence("indeterminate", "No policy of Acme for A0000 is held here.")
    statement = Statement(line, coverage, "id-1", silence=silence)
    assert explain(statement) == (
        "DeviceRequest/o1 under Coverage/c1: indeterminate\n  No policy of Acme for A0000 is held here."
    )
    assert explain_json(statement) == [
        {
            "order": "DeviceRequest/o1",
            "coverage": "Coverage/c1",
            "covered": "indeterminate",
            "reason": "No policy of Acme for A0000 is held here.",
        }
    ]


def test_determinations_as_json_are_those_of_a_card() -> None:
    line = DraftLine(DraftOrder("draft", {}, {}), {"reference": "DeviceRequest/o1"}, date(2026, 11, 21))
    coverage = OrderCoverage({"reference": "Coverage/c1"}, "active")
    [row] = explain_json(Statement(line, coverage, "id-1", (OXYGEN,)))
    assert (row["order"], row["coverage"], row["paNeeded"]) == ("DeviceRequest/o1", "Coverage/c1", "auth-needed")
    assert explain(Statement(line, coverage, "id-1", (OXYGEN, OXYGEN))).count("Oxygen concentrator (E1390)") == 2
