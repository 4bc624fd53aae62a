"""A policy as a page: what an analyst needs beside the payer's document, for any plan."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from cds_service.pages.page import Page, PageNode
from cds_service.pages.page_text import page_json, page_text
from cds_service.pages.policy_page import policy_page
from cds_service.policy.catalogue import Catalogue
from tests.unit.pages.pair import NEW, OLD, pair_of_versions, successor
from tests.unit.policy.small_plan import criterion, fhirpath


def page(version: str = OLD) -> Page:
    catalogue = pair_of_versions()
    [policy] = [one for one in catalogue.policies if one.version == version]
    return policy_page(policy, catalogue)


def nodes(of: Page) -> Iterator[PageNode]:
    for section in of.sections:
        for node, _ in section.walk():
            yield node


def node(name: str) -> PageNode:
    return next(one for one in nodes(page()) if one.id == name)


def detail(name: str, label: str) -> str:
    return next(one.saying.line for one in node(name).details if one.label == label)


def test_the_head_says_payer_document_and_from_and_until_when() -> None:
    head = {one.label: one.saying.line for one in page().identity}
    assert head["payer"] == "Acme Health"
    assert head["document"] == "Acme oxygen guideline"
    assert head["in force"] == "from 2024-06-01 until 2025-12-31"
    assert {one.label: one.saying.line for one in page(NEW).identity}["in force"] == (
        "from 2026-01-01 on; no later version is held"
    )


def test_orders_are_told_with_their_codes() -> None:
    assert [one.code for one in node("orders").codes] == ["E1390", "E1392"]


def shown(plan: dict[str, Any], **how: bool) -> str:
    return page_text(newest(pair_of_versions(plan)), **how)


def newest(catalogue: Catalogue) -> Page:
    return policy_page(next(one for one in catalogue.policies if one.version == NEW), catalogue)


def test_resource_types_of_which_the_same_is_said_are_told_once() -> None:
    plan = successor()
    data = plan["action"][0]["trigger"][0]["data"]
    data.append({**data[0], "type": "ServiceRequest"})
    [orders] = [one for one in newest(pair_of_versions(plan)).sections if one.id == "orders"]
    assert [one.title for one in orders.nodes] == ["DeviceRequest or ServiceRequest, with a code of ‘order-oxygen’"]


def test_resource_types_of_which_something_else_is_said_stand_apart() -> None:
    plan = successor()
    triggers = plan["action"][0]["trigger"]
    data = [{**triggers[0]["data"][0], "type": "ServiceRequest"}]
    triggers.append({**triggers[0], "data": data, "condition": fhirpath("%line.asNeeded.exists()")})
    found = newest(pair_of_versions(plan))
    assert [one.id for section in found.sections if section.id == "orders" for one in section.nodes] == [
        "DeviceRequest",
        "ServiceRequest",
    ]


def test_a_row_says_when_what_is_answered_and_what_is_missing() -> None:
    assert detail("auth.managed", "when") == "the coverage’s programme includes ‘managed’"
    assert detail("auth.managed", "answer") == "covered under conditions; whether prior authorization is needed depends"
    assert detail("auth.managed", "missing") == "what the words say (OTH)"
    assert detail("auth.managed", "short answer")
    assert detail("auth.all", "when") == "in all other cases"


def test_a_reason_that_bears_a_code_shows_it() -> None:
    plan = successor()
    parts = plan["action"][0]["action"][0]["extension"][0]["extension"]
    coding = {"system": "https://x/CodeSystem/reason", "code": "ask-the-plan"}
    parts.append({"url": "reason", "valueCodeableConcept": {"coding": [coding], "text": "The plan decides."}})
    catalogue = pair_of_versions(plan)
    page = policy_page(next(one for one in catalogue.policies if one.version == NEW), catalogue)
    row = next(one for one in nodes(page) if one.id == "auth.managed")
    assert "The plan decides. [ask-the-plan]" in [one.saying.line for one in row.details]


def test_what_every_card_says_stands_at_the_head() -> None:
    plan = successor()
    plan["action"][0]["textEquivalent"] = "This rule is old."
    catalogue = pair_of_versions(plan)
    page = policy_page(next(one for one in catalogue.policies if one.version == NEW), catalogue)
    assert "This rule is old." in [one.saying.line for one in page.identity]


def test_a_group_says_how_its_members_are_joined_and_a_leaf_what_meets_it() -> None:
    assert node("acme-oxygen").kind == "all of"
    assert detail("acme-oxygen.rest", "met if") == "restingLow holds"
    assert "at or below 88 %" in detail("acme-oxygen.rest", "where")
    assert detail("acme-oxygen.child", "applies if") == "the patient is under 21 on the order date"
    assert detail("acme-oxygen.stable", "met if") == "a clinician answers yes; nothing on record decides it"


def test_a_fact_says_window_what_counts_and_what_reads_it() -> None:
    assert detail("restingO2", "window").startswith("from 90 days before the order date to the day of the call")
    assert detail("restingO2", "counts") == "activity is ‘at-rest’ and oxygen is ‘on-room-air’"
    assert detail("restingO2", "of these") == "the newest one for each measurement"
    assert node("restingO2").readers == ("restingLow",)


def test_a_document_says_what_is_looked_for_and_since_when() -> None:
    looked_for = detail("doc.report", "looked for")
    assert "DocumentReference" in looked_for and "90 days before the order date" in looked_for


def test_a_suggestion_says_what_it_sets() -> None:
    assert detail("advice.rr", "suggests") == "Add RR (changes the order)"
    assert detail("advice.rr", "sets modifier to") == "the order’s modifier and ‘RR’"


def test_every_row_criterion_exclusion_document_and_note_carries_its_citation() -> None:
    cited = {"authorization", "criteria", "beside", "exclusions", "documents", "advice"}
    for section in page().sections:
        if section.id in cited:
            assert all(one.citations for one, _ in section.walk()), section.id


def test_every_condition_and_derived_fact_is_shown_as_it_is_written() -> None:
    catalogue = pair_of_versions()
    for policy in catalogue.policies:
        shown = "\n".join(
            detail.expression or "" for one in nodes(policy_page(policy, catalogue)) for detail in one.details
        )
        conditions = [row.condition for row in policy.rows]
        for judged in policy.criteria.values():
            conditions += [judged.applicability, judged.start]
        conditions += [one.condition for one in policy.exclusions.values()]
        for document in policy.documents.values():
            conditions += [document.applicability, document.start]
        expressions = [one for condition in conditions if condition for one in condition.expressions]
        for fact in policy.facts.values():
            expressions += [one for one in (fact.expression, fact.where) if one is not None]
            if fact.window is not None:
                expressions += [one for one in (fact.window.start, fact.window.end) if one is not None]
            if fact.measurement is not None:
                expressions += [one for _, one in fact.measurement.qualifiers]
        assert expressions
        assert [one.text for one in expressions if one.text not in shown] == []


def test_text_and_json_say_the_same_nodes() -> None:
    text, as_json = page_text(page()), json.dumps(page_json(page()), ensure_ascii=False)
    for one in nodes(page()):
        assert one.id in as_json
        assert one.id in text


def test_a_fact_is_told_in_full_once_and_by_its_name_afterwards() -> None:
    plan = successor()
    criteria = plan["action"][1]
    criteria["action"][0]["action"].append(criterion("acme-oxygen.again", "%restingLow", "%restingLow"))
    text = shown(plan)
    assert text.count("for one of restingO2") == 1
    assert text.count("every Observation on record of ‘obs-saturation’") == 1
    assert text.count("where restingLow: as above, under acme-oxygen.rest") == 1
    facts = text[text.index("\nFacts\n") : text.index("\nValue sets\n")]
    assert "- restingLow: above, under acme-oxygen.rest; read by acme-oxygen.again too" in facts


def test_a_fact_that_is_told_shows_all_that_narrows_it() -> None:
    text = shown(successor())
    told = text[text.index("where restingO2") :]
    assert told.index("window: from 90 days") < told.index("counts: activity is ‘at-rest’") < told.index("of these:")


def test_expressions_stand_below_their_words_only_where_they_are_asked_for() -> None:
    text, with_expressions = shown(successor()), shown(successor(), expressions=True)
    assert "\n" + " " * 12 + "= " not in text and "%restingLow" not in text
    assert "= %restingLow" in with_expressions
    lines = [line for line in with_expressions.split("\n") if not line.strip().startswith("= ")]
    assert len(lines) >= len(text.split("\n"))


def test_what_has_no_words_is_shown_as_it_is_written_all_the_same() -> None:
    plan = successor(**{"%lung.exists() or {}": "%lung.aggregate(iif($total = 1, 2, 3), 1) = 3"})
    assert "«%lung.aggregate(" in " ".join(shown(plan).split())


def test_each_heading_of_the_document_is_listed_with_what_cites_it() -> None:
    [headings] = [one for one in page().sections if one.id == "headings"]
    [listed] = [line for line in headings.intro.split("\n") if line.startswith("- II.A:")]
    assert "acme-oxygen.rest" in listed and "doc.report" in listed and "auth.managed" in listed


def test_what_the_owners_of_code_systems_ask_to_be_said_is_said_once() -> None:
    held = pair_of_versions()
    noted = [{**one, "copyright": "Acme owns these. Others own those."} for one in held.resources]
    text = page_text(newest(Catalogue(held.policies, held.payers, held.value_sets, noted)))
    assert text.count("Acme owns these.") == 1
    assert text.count("Others own those.") == 1


def test_a_qualifier_that_nothing_asks_about_and_its_codes_are_said_to_decide_nothing() -> None:
    plan = successor(**{"activity = 'at-rest' and oxygen = 'on-room-air'": "oxygen = 'on-room-air'"})
    assert "its activity: decides nothing in this policy" in shown(plan)


def test_the_orders_are_a_reader_of_their_value_set() -> None:
    sets = next(one for one in page().sections if one.id == "value-sets")
    [ordered] = [one for one in sets.nodes if one.id == "order-oxygen"]
    assert ordered.readers[0] == "orders"


def test_codes_that_the_orders_have_listed_are_not_listed_again() -> None:
    assert page_text(page()).count("HCPCS E1392") == 1
    assert page_text(page(), every_code=True).count("HCPCS E1392") == 2


def test_long_sets_are_told_by_their_codes_alone_until_every_code_is_asked_for() -> None:
    assert page_text(page(), every_code=True).count("LOINC 59408-5") == 1
