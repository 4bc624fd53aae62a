"""What a clinician sees: few cards, short lines, nothing that the chart could slip in."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from cds_service.crd.card_text import LONGEST_SUMMARY, detail, escaped, summary
from cds_service.crd.cards import Showing, cards
from cds_service.crd.coverage import OrderCoverage
from cds_service.crd.hook_request import Configuration
from cds_service.crd.hooks import HOOKS
from cds_service.crd.statements import Statement
from cds_service.crd.versions import CRD_20, CRD_21, CRD_22, CrdVersion
from cds_service.policy.model import Advice, Change, Determination, Evidence, Status, Suggestion, Verdict
from tests.fakes import ACME, determination, numbered_ids
from tests.unit.crd.small_call import order
from tests.unit.crd.small_statements import SPO2, criteria, document, exclusion, statement

ADD_RR = Suggestion("advice.rr.add", "Add RR to the order", "update", (Change("modifier", ("RR",)),))
ADD_E1390 = Suggestion(
    "advice.e1390.add", "Order E1390 as well", "create", (Change("code", ("E1390",)), Change("modifier", ("RR",)))
)
RENTAL = Advice("advice.rr", "Rented, not bought", "Every code carries RR.", (ADD_RR,))
NOTE = Advice("advice.term", "How long an authorization runs", "Twelve months.")


def dealt(
    *statements: Statement,
    hook: str = "order-sign",
    version: CrdVersion = CRD_22,
    unread: tuple[str, ...] = (),
    launch: str = "",
    **configuration: Any,
) -> tuple[dict[str, Any], ...]:
    showing = Showing(HOOKS[hook], version, Configuration(**configuration), unread, launch)
    return cards(statements, showing, numbered_ids(), lambda plan: f"https://cds.example.org/{plan}")


def topics(found: Any) -> list[str]:
    return [one["source"]["topic"]["code"] for one in found]


# -- the summary ------------------------------------------------------------------------------------------


def test_a_summary_says_the_item_the_verdict_and_what_is_open() -> None:
    judged = criteria(dx="met", findings="met", rx="met", stable="unknown", portable="not-applicable")
    assert summary([determination(criteria=judged)]) == (
        "Home oxygen (E1390): prior authorization needed; 1 of 4 criteria open"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"criteria": criteria(a="met", b="met")}, "prior authorization needed; 2 of 2 criteria met"),
        ({"criteria": criteria(a="met", b="not-met")}, "prior authorization needed; 1 of 2 criteria not met"),
        (
            {"criteria": criteria(a="unknown", b="not-met")},
            "prior authorization needed; 1 of 2 criteria open, 1 not met",
        ),
        ({"criteria": criteria(a="unknown")}, "prior authorization needed; 1 of 1 criterion open"),
        ({"criteria": criteria(a="not-applicable")}, "prior authorization needed"),
        (
            {"pa_needed": "no-auth", "criteria": criteria(a="met")},
            "no prior authorization needed; 1 of 1 criterion met",
        ),
        ({"covered": "not-covered", "criteria": criteria(a="not-met")}, "not covered; 1 of 1 criterion not met"),
        (
            {"covered": "conditional", "criteria": criteria(a="unknown")},
            "prior authorization needed, coverage still open; 1 of 1 criterion open",
        ),
        (
            {"pa_needed": "conditional", "criteria": criteria(a="unknown")},
            "prior authorization not decided yet; 1 of 1 criterion open",
        ),
        (
            {"covered": "conditional", "pa_needed": "conditional", "rule_title": "The member's own plan decides"},
            "the member's own plan decides",
        ),
        (
            {"pa_needed": "conditional", "rule_title": "E1399 alone does not say what is ordered"},
            "E1399 alone does not say what is ordered",
        ),
        (
            {"exclusions": (exclusion(),), "criteria": criteria(a="met")},
            "prior authorization needed; excluded as ordered",
        ),
    ],
)
def test_each_verdict_has_its_words(changes: dict[str, Any], said: str) -> None:
    assert summary([determination(**changes)]) == f"Home oxygen (E1390): {said}"


def test_orders_that_differ_are_told_apart_in_the_summary() -> None:
    both = [determination(), determination(code="E1392", covered="not-covered")]
    assert summary(both) == "Home oxygen (E1390, E1392): E1390 prior authorization needed, E1392 not covered"


def test_orders_that_differ_in_coverage_alone_share_what_is_said_of_authorization() -> None:
    both = [determination(), determination(code="E1392", covered="conditional", criteria=criteria(a="unknown"))]
    assert summary(both) == (
        "Home oxygen (E1390, E1392): prior authorization needed, coverage of E1392 still open; 1 of 1 criterion open"
    )


def test_a_reason_that_holds_for_all_orders_of_a_card_is_said_once() -> None:
    both = [
        determination(reason=("Ask the payer",)),
        determination(code="E1392", item="Portable", reason=("Ask for a referral", "Ask the payer")),
    ]
    text = detail([("DeviceRequest/o1", both[0]), ("DeviceRequest/o2", both[1])])
    assert "(E1390)**: prior authorization needed.\n" in text
    assert "**Portable (E1392)**: prior authorization needed. Ask for a referral.\n" in text
    assert text.count("Ask the payer.") == 1 and "**All of these**\n\nAsk the payer." in text


def test_where_one_alternative_meets_the_policy_the_others_are_not_spoken_of() -> None:
    root, *children = criteria(a="met", b="not-met", c="unknown")
    by_a = determination(criteria=(root._replace(status=Status.MET), *children))
    assert summary([by_a]) == "Home oxygen (E1390): prior authorization needed; criteria met"
    text = detail([("DeviceRequest/o1", by_a)])
    assert "Reason of a" in text
    assert "Reason of b" not in text and "Reason of c" not in text


def test_while_no_alternative_meets_the_policy_all_are_shown() -> None:
    open_still = determination(criteria=criteria(b="not-met", c="unknown"))
    assert summary([open_still]).endswith("1 of 2 criteria open, 1 not met")
    text = detail([("DeviceRequest/o1", open_still)])
    assert "Reason of b" in text and "Reason of c" in text


def test_a_summary_stays_under_140_characters_whatever_the_policy_is_called() -> None:
    long = determination(policy_title="Oxygen " * 60, criteria=criteria(a="unknown"))
    text = summary([long])
    assert len(text) <= LONGEST_SUMMARY == 139
    assert text.endswith("…" + " (E1390): prior authorization needed; 1 of 1 criterion open")
    assert len(summary([determination(code=f"E{n:04}", rule_title="x" * 300, pa_needed="y") for n in range(40)])) <= 139
    (card,) = dealt(statement(determination(advice=(Advice("a", "t" * 400),))), off=frozenset({"guideline"}))
    assert len(card["summary"]) == 139


# -- the criteria card ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "indicator"),
    [
        ({}, "info"),
        ({"criteria": (Verdict("root", "r", Status.MET, group=True),)}, "info"),
        ({"criteria": criteria(a="unknown")}, "warning"),
        ({"criteria": (Verdict("root", "r", Status.NOT_MET, group=True),)}, "warning"),
        ({"documents": (document("on-file"), document("not-applicable"))}, "info"),
        ({"documents": (document("missing"),)}, "warning"),
        ({"documents": (document("expired"),)}, "warning"),
        ({"documents": (document("missing", counts=False),)}, "info"),
        ({"covered": "not-covered"}, "warning"),
        ({"pa_needed": "conditional", "info_needed": ("OTH",)}, "warning"),
        ({"urgent": True}, "warning"),
    ],
)
def test_a_card_warns_where_something_is_missing_or_excluded(changes: dict[str, Any], indicator: str) -> None:
    assert dealt(statement(determination(**changes)))[0]["indicator"] == indicator


def test_an_urgent_policy_makes_every_card_a_warning() -> None:
    found = dealt(statement(determination(urgent=True, advice=(RENTAL, NOTE))))
    assert [one["indicator"] for one in found] == ["warning", "warning", "warning"]


def test_a_caution_of_the_policy_stands_on_every_card_once_and_escaped() -> None:
    found = dealt(statement(determination(caution="The rule is *old*.", advice=(RENTAL, NOTE))))
    assert len(found) == 3
    assert all(one["detail"].count("The rule is \\*old\\*.") == 1 for one in found)
    assert all(one["detail"].endswith("The rule is \\*old\\*.") for one in found)


def test_the_card_links_to_our_page_where_the_payers_address_is_not_verified() -> None:
    (card,) = dealt(statement(determination()))
    assert card["links"] == [
        {
            "label": "How this is applied here: Acme oxygen guideline",
            "url": "https://cds.example.org/acme-oxygen",
            "type": "absolute",
        }
    ]
    (card,) = dealt(statement(determination(source_url="https://acme.example.org/policy")))
    assert card["links"][0]["url"] == "https://acme.example.org/policy"


def test_the_card_is_the_payers_and_names_its_order() -> None:
    (card,) = dealt(statement(determination()))
    assert card["source"]["label"] == "Acme Health"
    assert card["source"]["topic"] == {
        "system": "http://terminology.hl7.org/CodeSystem/cdshooks-card-type",
        "code": "guideline",
        "display": "Guideline",
    }
    assert card["extension"]["davinci-crd.associated-resource"] == [{"reference": "DeviceRequest/o1"}]
    assert card["uuid"]


def test_orders_that_share_policy_and_coverage_share_a_card() -> None:
    one = statement(determination(), resource=order("o1"))
    two = statement(determination(code="E1392", item="Portable concentrator"), resource=order("o2", "E1392"))
    other = OrderCoverage({"reference": "Coverage/c2"}, "active", ACME, {})
    three = statement(determination(), resource=order("o1"), coverage=other)
    first, second = dealt(one, two, three)
    assert first["extension"]["davinci-crd.associated-resource"] == [
        {"reference": "DeviceRequest/o1"},
        {"reference": "DeviceRequest/o2"},
    ]
    assert [one["order"] for one in first["extension"]["cds-service.determinations"]] == [
        "DeviceRequest/o1",
        "DeviceRequest/o2",
    ]
    assert "**Oxygen concentrator (E1390) and Portable concentrator (E1392)**: prior" in first["detail"]
    assert second["extension"]["cds-service.determinations"][0]["coverage"] == "Coverage/c2"


def test_orders_of_which_different_things_are_said_stand_apart_on_the_card() -> None:
    one = statement(determination(), resource=order("o1"))
    two = statement(determination(covered="not-covered", reason=("Sleep studies alone",)), resource=order("o2"))
    (card,) = dealt(one, two)
    assert "**Oxygen concentrator (E1390)**: prior authorization needed." in card["detail"]
    assert "**Oxygen concentrator (E1390)**: not covered. Sleep studies alone." in card["detail"]


def test_what_holds_for_all_orders_of_a_card_is_said_once() -> None:
    dx = Verdict("root.dx", "Diagnosis", Status.MET, parent="root", reason="COPD: a lung disease")
    portable = Verdict("root.portable", "Portable", Status.UNKNOWN, parent="root", reason="Not recorded: Portable")
    root = Verdict("root", "All of", Status.UNKNOWN, group=True)
    one = statement(determination(criteria=(root, dx), documents=(document(),)), resource=order("o1"))
    two = statement(
        determination(code="E1392", item="Portable", criteria=(root, dx, portable), documents=(document(),)),
        resource=order("o2", "E1392"),
    )
    (card,) = dealt(one, two)
    assert card["detail"].split("\n\n") == [
        "**Oxygen concentrator (E1390)**: prior authorization needed.",
        "**Portable (E1392)**: prior authorization needed.",
        "Criteria:\n- ? Not recorded: Portable",
        "**All of these**",
        "Criteria:\n- ✓ COPD: a lung disease",
        "Documents:\n- ✗ Test report: missing",
        "Source: Acme oxygen guideline",
    ]


def tree() -> tuple[Verdict, ...]:
    return (
        Verdict("root", "All", Status.UNKNOWN, group=True),
        Verdict("root.dx", "A qualifying diagnosis", Status.MET, parent="root", group=True),
        Verdict("root.dx.lung", "Lung disease", Status.MET, parent="root.dx", reason="COPD (J44.9): a lung disease",
                evidence=(Evidence("Condition/c", "COPD"),)),
        Verdict("root.dx.other", "Another", Status.UNKNOWN, parent="root.dx", reason="Not recorded: Another"),
        Verdict("root.rest", "Low at rest", Status.UNKNOWN, parent="root", group=True),
        Verdict("root.rest.a", "Sat at rest", Status.UNKNOWN, parent="root.rest", asked=True,
                reason="Not recorded: Sat at rest"),
        Verdict("root.rest.b", "Sat asleep", Status.UNKNOWN, parent="root.rest", candidates=(SPO2,),
                reason="Not settled: Sat asleep (SpO2 87 % on 2026-11-02; activity not recorded)", asked=True),
        Verdict("root.rx", "Prescription", Status.NOT_MET, parent="root", reason="No flow", hint="fill parameter"),
        Verdict("root.child", "Under 21", Status.NOT_APPLICABLE, parent="root"),
        Verdict("beside", "Room air contraindicated", Status.UNKNOWN, asked=True),
    )  # fmt: skip


def test_what_stands_in_a_group_that_may_not_apply_is_not_listed_yet() -> None:
    judged = (
        Verdict("root", "All of", Status.UNKNOWN, group=True),
        Verdict("root.way", "Night or day", Status.UNKNOWN, parent="root", group=True, reason="Not recorded: which"),
        Verdict("root.night", "At night", Status.UNKNOWN, parent="root.way", group=True, may_not_apply=True,
                reason="Not known whether this applies: At night"),
        Verdict("root.night.a", "Sat asleep", Status.UNKNOWN, parent="root.night", reason="Not recorded: Sat asleep"),
        Verdict("root.leaf", "Under 21", Status.UNKNOWN, parent="root.way", may_not_apply=True, reason="Not known"),
    )  # fmt: skip
    (card,) = dealt(statement(determination(criteria=judged)))
    assert card["detail"].split("\n")[3:6] == [
        "- ? Night or day: Not recorded: which",
        "  - ? Not known whether this applies: At night",
        "  - ? Under 21: Not known",
    ]


def test_what_is_open_in_a_group_that_is_decided_is_not_listed_as_open() -> None:
    judged = (
        Verdict("root", "All of", Status.UNKNOWN, group=True),
        Verdict("root.rest", "Rest", Status.UNKNOWN, parent="root", group=True),
        Verdict("root.risk", "A risk", Status.MET, parent="root.rest", group=True),
        Verdict("root.risk.a", "Slow", Status.UNKNOWN, parent="root.risk", candidates=(SPO2,), reason="Not settled"),
        Verdict("root.stable", "Stable", Status.UNKNOWN, parent="root.rest", asked=True, reason="Not recorded"),
    )
    (card,) = dealt(statement(determination(criteria=judged)))
    assert card["detail"].split("\n")[3:6] == ["- ? Rest", "  - ? Stable: Not recorded", ""]


def test_of_what_is_not_covered_no_document_is_asked_for() -> None:
    (card,) = dealt(statement(determination(covered="not-covered", documents=(document("missing"),))))
    assert "Test report" not in card["detail"]


def test_the_detail_shows_what_is_to_do_first_and_the_evidence_behind_each() -> None:
    (card,) = dealt(
        statement(
            determination(
                criteria=tree(),
                documents=(document("on-file", title="Order", evidence=(SPO2,)), document(reason="Older than 90 days")),
                exclusions=(exclusion(reason="No hypoxemia shown"),),
                reason=("Ask early",),
            )
        )
    )
    assert card["detail"].split("\n") == [
        "**Oxygen concentrator (E1390)**: prior authorization needed. Ask early.",
        "",
        "Excluded as ordered:",
        "- ✗ Angina alone. No hypoxemia shown",
        "",
        "Criteria:",
        "- ✗ Prescription: No flow – fill parameter",
        "- ? Low at rest",
        "  - ? Not settled: Sat asleep (SpO2 87 % on 2026-11-02; activity not recorded)",
        "  - ? Not recorded: Sat at rest",
        "- ✓ A qualifying diagnosis",
        "  - ✓ COPD (J44.9): a lung disease",
        "",
        "Documents:",
        "- ✗ Test report: missing. Older than 90 days",
        "- ✓ Order: SpO2 87 %, 2026-11-02",
        "",
        "Source: Acme oxygen guideline",
    ]


def test_what_contradicts_the_evidence_is_shown() -> None:
    against = Evidence("Observation/s2", "SpO2 93 %, 2026-10-01")
    leaf = Verdict("root.a", "Low", Status.MET, parent="root", reason="SpO2 87 %: low", conflicts=(against,))
    (card,) = dealt(statement(determination(criteria=(Verdict("root", "r", Status.MET, group=True), leaf))))
    assert "- ✓ SpO2 87 %: low (also on record: SpO2 93 %, 2026-10-01)" in card["detail"]


def test_a_long_list_of_open_questions_is_cut() -> None:
    leaves = [Verdict(f"g.{n}", f"Question {n}", Status.UNKNOWN, parent="root.g", asked=True) for n in range(9)]
    group = Verdict("root.g", "Group", Status.UNKNOWN, parent="root", group=True)
    (card,) = dealt(
        statement(determination(criteria=(Verdict("root", "r", Status.UNKNOWN, group=True), group, *leaves)))
    )
    assert card["detail"].count("Question") == 3
    assert "  - and 6 more" in card["detail"]


# -- text of others ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("*bold* _it_ `code`", r"\*bold\* \_it\_ \`code\`"),
        ("[pay here](javascript:x)", r"\[pay here\](javascript:x)"),
        ("<img src=x>", r"\<img src=x\>"),
        ("![x](y)", r"!\[x\](y)"),
        ("line\n# heading\r\n\ttab", r"line \# heading tab"),
        ("a | b ~~c~~", r"a \| b \~\~c\~\~"),
        ("back\\slash", "back\\\\slash"),
        ("https://evil.example", r"https:/\/evil.example"),
        ("see WWW.evil.example", r"see WWW\.evil.example"),
        ("me@evil.example", r"me\@evil.example"),
        ("bell\x07 \u202eright to left", "bell right to left"),
    ],
)
def test_text_of_the_chart_shows_itself_and_does_nothing(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_endless_text_of_the_chart_is_cut() -> None:
    assert len(escaped("x" * 10_000)) == 300


def test_a_hostile_chart_reaches_no_part_of_a_card_unescaped() -> None:
    hostile = "</script>[x](http://evil) **now**"
    spoilt = determination(
        item=hostile,
        reason=(hostile,),
        criteria=(
            Verdict("root", hostile, Status.UNKNOWN, group=True),
            Verdict("root.a", hostile, Status.UNKNOWN, parent="root", reason=hostile),
        ),
        documents=(document(reason=hostile), document("on-file", evidence=(Evidence("D/1", hostile),))),
        exclusions=(exclusion(reason=hostile),),
        advice=(Advice("a", "title", hostile), RENTAL),
    )
    for card in dealt(statement(spoilt)):
        assert "[x](" not in card["detail"]
        assert "</script>" not in card["detail"]
        assert "** now" not in card["detail"]


# -- suggestions ------------------------------------------------------------------------------------------


def claims(*statements: Statement) -> list[dict[str, Any]]:
    return [one for one in dealt(*statements) if one["source"]["topic"]["code"] == "claim"]


def test_a_change_to_an_order_is_one_update_of_the_whole_order() -> None:
    (card,) = claims(statement(determination(advice=(RENTAL,))))
    assert card["summary"] == "Rented, not bought"
    assert card["detail"] == "Every code carries RR.\n\nFor: Oxygen concentrator (E1390)."
    assert "links" not in card
    (suggestion,) = card["suggestions"]
    assert suggestion["uuid"] != card["uuid"]
    assert suggestion["label"] == "Add RR to the order"
    (action,) = suggestion["actions"]
    assert (action["type"], action["description"]) == ("update", "Add RR to the order")
    assert [one["code"] for one in action["resource"]["codeCodeableConcept"]["coding"]] == ["E1390", "RR"]
    assert action["resource"]["id"] == "o1"


def test_the_same_advice_for_several_orders_is_one_card_with_a_suggestion_for_each() -> None:
    one = statement(determination(advice=(RENTAL,)), resource=order("o1"))
    two = statement(determination(code="E1392", item="Portable", advice=(RENTAL,)), resource=order("o2", "E1392"))
    (card,) = claims(one, two)
    assert card["selectionBehavior"] == "any"
    assert [one["label"] for one in card["suggestions"]] == [
        "Add RR to the order (E1390)",
        "Add RR to the order (E1392)",
    ]
    assert card["detail"].endswith("For: Oxygen concentrator (E1390) and Portable (E1392).")


def test_alternatives_for_one_order_exclude_each_other() -> None:
    either = (ADD_RR, Suggestion("advice.nu", "Add NU", "update", (Change("modifier", ("NU",)),)))
    (card,) = claims(statement(determination(advice=(Advice("a", "Rent or buy", None, either),))))
    assert card["selectionBehavior"] == "at-most-one"
    assert len(card["suggestions"]) == 2


def test_an_order_to_add_is_a_create() -> None:
    advice = Advice("advice.e1390", "Only with E1390", None, (ADD_E1390,))
    (card,) = claims(statement(determination(code="K0738", advice=(advice,)), resource=order("o1", "K0738")))
    (action,) = card["suggestions"][0]["actions"]
    assert action["type"] == "create"
    assert "id" not in action["resource"]
    assert "resourceId" not in action


def test_an_order_that_two_lines_ask_for_is_suggested_once() -> None:
    advice = Advice("advice.e1390", "Only with E1390", None, (ADD_E1390,))
    lines = [statement(determination(advice=(advice,)), resource=order(name, "K0738")) for name in ("o1", "o2")]
    (card,) = claims(*lines)
    assert len(card["suggestions"]) == 1


def test_a_change_that_changes_nothing_is_not_suggested() -> None:
    rented = order("o1", "E1390", "RR")
    assert claims(statement(determination(advice=(RENTAL,)), resource=rented)) == []


def test_a_change_wanted_under_two_coverages_is_suggested_once() -> None:
    other = OrderCoverage({"reference": "Coverage/c2"}, "active", ACME, {})
    both = [statement(determination(advice=(RENTAL,))), statement(determination(advice=(RENTAL,)), coverage=other)]
    assert len(claims(*both)) == 1


# -- notes ------------------------------------------------------------------------------------------------


def test_a_note_is_said_once_whichever_orders_it_is_for() -> None:
    lines = [
        statement(determination(advice=(NOTE,)), resource=order("o1")),
        statement(determination(code="E1392", item="Portable", advice=(NOTE,)), resource=order("o2")),
    ]
    notes = [one for one in dealt(*lines) if one["source"]["topic"]["code"] == "clinical-reminder"]
    (note,) = notes
    assert note["detail"] == "Twelve months.\n\nFor: Oxygen concentrator (E1390) and Portable (E1392)."
    assert len(note["extension"]["davinci-crd.associated-resource"]) == 2
    assert "links" not in note
    assert "suggestions" not in note


def test_a_note_without_more_words_says_which_orders_it_is_for() -> None:
    (note,) = dealt(statement(determination(advice=(Advice("a", "Title"),))), off=frozenset({"guideline"}))
    assert note["detail"] == "For: Oxygen concentrator (E1390)."


# -- which cards ------------------------------------------------------------------------------------------


def everything() -> Statement:
    return statement(determination(advice=(NOTE, RENTAL, Advice("e", "E1390 too", None, (ADD_E1390,)))))


def test_the_most_useful_card_comes_first() -> None:
    assert topics(dealt(everything())) == ["guideline", "claim", "claim", "clinical-reminder"]


def test_of_several_policies_the_one_that_asks_for_something_comes_first() -> None:
    done = determination(policy="p1|1", policy_title="Done", criteria=(), documents=())
    lacking = determination(policy="p2|1", policy_title="Lacking", covered="conditional", info_needed=("OTH",))
    found = dealt(statement(done, lacking), max_cards=1)
    assert [card["summary"].split(" (")[0] for card in found] == ["Lacking"]


@pytest.mark.parametrize("topic", ["guideline", "claim", "clinical-reminder"])
def test_a_kind_of_card_can_be_switched_off(topic: str) -> None:
    found = topics(dealt(everything(), off=frozenset({topic})))
    assert topic not in found
    assert len(set(found)) == 2


@pytest.mark.parametrize("limit", [0, 1, 2, 10])
def test_no_more_cards_than_wanted_are_sent(limit: int) -> None:
    found = topics(dealt(everything(), max_cards=limit))
    assert found == ["guideline", "claim", "claim", "clinical-reminder"][:limit]


def test_an_order_that_nothing_is_known_of_has_no_card() -> None:
    assert dealt(statement()) == ()


# -- the machine's part -----------------------------------------------------------------------------------


def member(found: Determination) -> dict[str, Any]:
    (card,) = dealt(statement(found))
    (one,) = card["extension"]["cds-service.determinations"]
    return dict(one)


def test_a_determination_is_told_to_machines_in_full() -> None:
    judged = Verdict(
        "root.a",
        "Low",
        Status.UNKNOWN,
        parent="root",
        reason="Not settled",
        evidence=(SPO2,),
        candidates=(SPO2,),
        conflicts=(SPO2,),
        asked=True,
    )
    shown = [{"reference": "Observation/s1", "display": "SpO2 87 %, 2026-11-02"}]
    full = determination(
        covered="conditional",
        info_needed=("OTH",),
        doc_needed=("clinical",),
        reason=("One.", "Two."),
        criteria=(Verdict("root", "r", Status.UNKNOWN, group=True), judged),
        documents=(document("on-file", evidence=(SPO2,), reason="not shown"), document(reason="Older")),
        exclusions=(exclusion(reason="Fired", evidence=(SPO2,)),),
        questionnaire="https://x/Questionnaire/q|1",
    )
    assert member(full) == {
        "order": "DeviceRequest/o1",
        "coverage": "Coverage/c1",
        "policy": "https://cds-service.example.org/fhir/PlanDefinition/acme-oxygen|2024-06-01",
        "code": "E1390",
        "onDate": "2026-11-21",
        "covered": "conditional",
        "paNeeded": "auth-needed",
        "infoNeeded": ["OTH"],
        "docNeeded": ["clinical"],
        "reason": "One. Two.",
        "authorizationRule": "auth.all",
        "criteria": [
            {"id": "root", "status": "unknown"},
            {
                "id": "root.a",
                "parent": "root",
                "status": "unknown",
                "reason": "Not settled",
                "evidence": shown,
                "candidates": shown,
                "conflicts": shown,
                "question": "root.a",
            },
        ],
        "exclusions": [{"id": "excl.angina", "reason": "Fired", "evidence": shown}],
        "documents": [
            {"id": "doc.report", "status": "on-file", "evidence": shown},
            {"id": "doc.report", "status": "missing", "reason": "Older"},
        ],
        "questionnaire": "https://x/Questionnaire/q|1",
    }


def test_what_holds_nothing_is_left_out() -> None:
    assert set(member(determination(code=""))) == {
        "order",
        "coverage",
        "policy",
        "onDate",
        "covered",
        "paNeeded",
        "authorizationRule",
    }


# -- hooks and versions -----------------------------------------------------------------------------------

_OPEN = {"criteria": criteria(stable="unknown")}


@pytest.mark.parametrize("hook", ["order-dispatch", "appointment-book"])
def test_where_no_order_can_be_changed_its_advice_is_a_note(hook: str) -> None:
    found = dealt(statement(determination(advice=(RENTAL,))), hook=hook)
    assert topics(found) == ["guideline", "clinical-reminder"]
    assert found[1]["summary"] == "Rented, not bought"
    assert "suggestions" not in found[1]


def test_at_an_encounter_only_what_lacks_something_is_said() -> None:
    lacking = statement(determination(policy="a|1", **_OPEN))
    sound = statement(determination(policy="b|1"))
    found = dealt(lacking, sound, hook="encounter-start")
    assert [one["indicator"] for one in found] == ["warning"]
    assert dealt(sound, hook="encounter-discharge") == ()


def test_at_an_encounter_nothing_is_suggested_or_noted() -> None:
    found = dealt(statement(determination(advice=(RENTAL, NOTE), **_OPEN)), hook="encounter-start")
    assert topics(found) == ["guideline"]


def test_an_order_that_could_not_be_read_is_named_on_a_card() -> None:
    found = dealt(statement(determination()), hook="order-dispatch", unread=("DeviceRequest/o9",))
    (card,) = [one for one in found if one["source"]["topic"]["code"] == "clinical-reminder"]
    assert "DeviceRequest/o9" in card["detail"]
    assert card["extension"]["davinci-crd.associated-resource"] == [{"reference": "DeviceRequest/o9"}]


@pytest.mark.parametrize(
    ("version", "system", "associated"),
    [
        (CRD_20, "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp", "DeviceRequest/o1"),
        (CRD_21, "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp", {"reference": "DeviceRequest/o1"}),
        (CRD_22, "http://terminology.hl7.org/CodeSystem/cdshooks-card-type", {"reference": "DeviceRequest/o1"}),
    ],
)
def test_each_version_has_its_system_of_topics_and_its_way_to_name_orders(
    version: CrdVersion, system: str, associated: Any
) -> None:
    (card,) = dealt(statement(determination()), version=version)
    assert card["source"]["topic"]["system"] == system
    assert card["extension"]["davinci-crd.associated-resource"] == [associated]


# -- coverage that has ended ------------------------------------------------------------------------------

LAPSED = {"resourceType": "Coverage", "id": "c1", "status": "active", "period": {"end": "2026-10-31"}, "x": [1]}


def under_a_lapsed_coverage(resource: dict[str, Any], identity: str = "o1") -> Statement:
    coverage = OrderCoverage({"reference": "Coverage/c1"}, "ended", ACME, lapsed=(resource, date(2026, 10, 31)))
    return statement(resource=order(identity), coverage=coverage)


def test_those_who_keep_the_record_are_offered_to_close_a_coverage_that_has_ended() -> None:
    said = [under_a_lapsed_coverage(LAPSED), under_a_lapsed_coverage(LAPSED, "o2")]
    [card] = dealt(*said, hook="encounter-start")
    assert card["summary"] == "The Acme Health coverage on file ended on 2026-10-31, and is still marked active"
    assert card["source"]["topic"]["code"] == "insurance"
    assert card["extension"]["davinci-crd.associated-resource"] == [
        {"reference": "DeviceRequest/o1"},
        {"reference": "DeviceRequest/o2"},
    ]
    [suggestion] = card["suggestions"]
    [action] = suggestion["actions"]
    assert action["type"] == "update"
    assert action["resource"] == {**LAPSED, "status": "cancelled"}
    assert LAPSED["status"] == "active"


def test_whoever_orders_is_not_asked_to_mend_a_coverage() -> None:
    assert not dealt(under_a_lapsed_coverage(LAPSED))
    assert not dealt(under_a_lapsed_coverage(LAPSED), hook="encounter-discharge")


def test_the_offer_can_be_switched_off() -> None:
    assert not dealt(under_a_lapsed_coverage(LAPSED), hook="appointment-book", off=frozenset({"insurance"}))


@pytest.mark.parametrize("changes", [{"id": None}, {"costToBeneficiary": [{"valueMoney": {"value": 1.1}}]}])
def test_a_coverage_that_cannot_be_written_back_to_the_letter_is_only_spoken_of(changes: dict[str, Any]) -> None:
    [card] = dealt(under_a_lapsed_coverage({**LAPSED, **changes}), hook="appointment-book")
    assert "suggestions" not in card


# -- questionnaires ---------------------------------------------------------------------------------------

LAUNCH = "https://cds.example.org/dtr/launch"
ASKED_FOR: dict[str, Any] = {"launch": LAUNCH, "on": frozenset({"dtr-card"})}
WANTS_A_FORM = {"questionnaire": "https://payer.example/q|1", "doc_needed": ("clinical",)}


def test_a_form_that_is_wanted_can_be_opened_from_a_card_that_says_what_it_is_about() -> None:
    found = dealt(statement(determination(**WANTS_A_FORM)), **ASKED_FOR)
    [card] = [one for one in found if one["source"]["topic"]["code"] == "dtr-card"]
    assert card["source"]["topic"]["system"] == "https://cds-service.example.org/fhir/CodeSystem/card-type"
    [link] = card["links"]
    assert (link["type"], link["url"]) == ("smart", LAUNCH)
    told = dict(part.split("=") for part in link["appContext"].split("&"))
    assert told == {
        "questionnaire": "https%3A%2F%2Fpayer.example%2Fq%7C1",
        "order": "DeviceRequest%2Fo1",
        "coverage": "Coverage%2Fc1",
        "context": told["context"],
    }
    assert told["context"]


@pytest.mark.parametrize(
    ("changes", "asked_for"),
    [
        (WANTS_A_FORM, {"launch": LAUNCH}),
        (WANTS_A_FORM, {"launch": LAUNCH, "off": frozenset({"dtr-card"})}),
        (WANTS_A_FORM, {**ASKED_FOR, "launch": ""}),
        (WANTS_A_FORM, {**ASKED_FOR, "hook": "order-select"}),
        ({**WANTS_A_FORM, "doc_needed": ()}, ASKED_FOR),
        ({**WANTS_A_FORM, "questionnaire": None}, ASKED_FOR),
    ],
    ids=["nobody asked", "switched off", "no app", "too early", "nothing is needed", "no form"],
)
def test_otherwise_no_card_leads_to_the_form(changes: dict[str, Any], asked_for: dict[str, Any]) -> None:
    assert "dtr-card" not in topics(dealt(statement(determination(**changes)), **asked_for))
