"""What the strict loader refuses: one fault in a sound plan, and the message that says where, what and how to mend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cds_service.policy.load import load_catalogue
from tests.unit.policy.small_plan import (
    BASE,
    criterion,
    definitions,
    derived,
    fhirpath,
    group,
    retrieved,
    row,
    selection,
    small_plan,
    value_set,
    window,
)

Break = Callable[[dict[str, Any]], None]
AUTHORIZATION, CRITERIA, EXCLUSIONS, DOCUMENTS, ADVICE = range(5)


def faults(plan: dict[str, Any], *more: dict[str, Any]) -> list[str]:
    catalogue, problems = load_catalogue(definitions(plan, *more))
    assert (catalogue is None) == bool(problems)
    return [str(problem) for problem in problems]


def criteria(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return plan["action"][CRITERIA]["action"][0]["action"]  # type: ignore[no-any-return]


def inputs(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return plan["action"][CRITERIA]["input"]  # type: ignore[no-any-return]


def rows(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return plan["action"][AUTHORIZATION]["action"]  # type: ignore[no-any-return]


def start_of(plan: dict[str, Any], text: str) -> None:
    criteria(plan)[0]["condition"] = [{"kind": "start", "expression": fhirpath(text)}]


def test_a_sound_plan_loads_without_a_word() -> None:
    assert faults(small_plan()) == []


def broken(name: str, change: Break, *words: str) -> Any:
    return pytest.param(change, words, id=name)


BROKEN = [
    broken(
        "unknown element",
        lambda plan: plan["action"][CRITERIA]["action"][0].update(selectionBehaviour="all"),
        "selectionBehaviour: unknown element; did you mean 'selectionBehavior'?",
    ),
    broken("R4B element", lambda plan: plan.update(subjectCanonical="http://x.org|1"), "is of R4B, not of R4"),
    broken(
        "any is zero or more",
        lambda plan: plan["action"][CRITERIA]["action"][0].update(selectionBehavior="any"),
        "'any' means zero or more in R4; write 'one-or-more'",
    ),
    broken(
        "group without behaviour",
        lambda plan: plan["action"][CRITERIA]["action"][0].pop("selectionBehavior"),
        "a group needs selectionBehavior 'all' or 'one-or-more'",
    ),
    broken(
        "leaf with behaviour",
        lambda plan: criteria(plan)[0].update(selectionBehavior="all"),
        "has no children but a selectionBehavior",
    ),
    broken(
        "id used twice",
        lambda plan: criteria(plan)[1].update(id="acme-oxygen.lung"),
        "'acme-oxygen.lung' is used twice",
        "ids are stable and unique",
    ),
    broken("id missing", lambda plan: criteria(plan)[0].pop("id"), "no id"),
    broken("id pattern", lambda plan: criteria(plan)[0].update(id="acme-oxygen.Lung"), "lower-case letters"),
    broken(
        "id without the plan's prefix",
        lambda plan: criteria(plan)[0].update(id="other.lung"),
        "does not begin with 'acme-oxygen.'",
    ),
    broken(
        "fact with a hyphen",
        lambda plan: inputs(plan)[3].update(id="lung-disease"),
        "'lung-disease': a hyphen is minus in FHIRPath; write 'lungDisease'",
    ),
    broken("fact with a reserved name", lambda plan: inputs(plan)[3].update(id="patient"), "'patient' is reserved"),
    broken(
        "fact twice",
        lambda plan: inputs(plan).append(retrieved("lung", "Condition", "dx-lung")),
        "'lung' is used twice",
    ),
    broken(
        "unknown variable",
        lambda plan: start_of(plan, "%long.exists() or {}"),
        "'acme-oxygen.lung', column 1",
        "%lung",
    ),
    broken("syntax", lambda plan: start_of(plan, "(%lung.exists() or {}"), "'acme-oxygen.lung', column"),
    broken("today", lambda plan: start_of(plan, "today() > %orderDate"), "today", "%onDate or %orderDate"),
    broken("unknown path", lambda plan: start_of(plan, "%line.reasons.exists()"), "reasons", "'reason'"),
    broken("not boolean", lambda plan: start_of(plan, "%orderDate"), "a condition yields true, false or nothing"),
    broken("a list", lambda plan: start_of(plan, "%line.reason.select(memberOf('" + BASE + "/ValueSet/dx-lung|1'))"),
           "yields a list, not one boolean"),
    broken("CQL", lambda plan: criteria(plan)[0]["condition"][0]["expression"].update(language="text/cql"),
           "write 'text/fhirpath'"),
    broken(
        "value set not held",
        lambda plan: inputs(plan)[3]["codeFilter"][0].update(valueSet=f"{BASE}/ValueSet/dx-lung|2"),
        "dx-lung|2' is not held",
        "dx-lung|1",
    ),
    broken(
        "value set not pinned",
        lambda plan: inputs(plan)[3]["codeFilter"][0].update(valueSet=f"{BASE}/ValueSet/dx-lung"),
        "is not pinned",
    ),
    broken("absence read as no", lambda plan: start_of(plan, "%lung.exists()"), "absence would read as 'no'",
           "%lung.exists() or {}"),
    broken("counting an open world", lambda plan: start_of(plan, "%lung.count() > 0"),
           "takes what is on record for all there is"),
    broken("a no-op", lambda plan: start_of(plan, "%restingLow or false"), "'or false' changes nothing"),
    broken("ages written backwards", lambda plan: start_of(plan, "%orderDate - 21 years < %patient.birthDate"),
           "birthDate + n years"),
    broken(
        "circle of facts",
        lambda plan: inputs(plan).append(derived("restingHigh", "boolean", "%restingHigh")),
        "restingHigh -> restingHigh",
    ),
    broken(
        "circle of criteria",
        lambda plan: start_of(plan, "%`acme-oxygen`.met"),
        "acme-oxygen -> acme-oxygen.lung -> acme-oxygen",
    ),
    broken(
        "exclusion that reads the root",
        lambda plan: plan["action"][EXCLUSIONS]["action"][0]["condition"][0].update(
            expression=fhirpath("%`acme-oxygen`.status = 'met'")
        ),
        "an exclusion may not read the root that it changes",
    ),
    broken("a table without an end", lambda plan: rows(plan).pop(), "end the table with a row that always holds"),
    broken("a row never reached", lambda plan: rows(plan).append(row("auth.z", covered="covered", paNeeded="no-auth")),
           "rows behind it are never reached"),
    broken("a row that gives nothing", lambda plan: rows(plan)[0].pop("extension"), "gives nothing"),
    broken(
        "conditional without infoNeeded",
        lambda plan: rows(plan).insert(0, row("auth.x", "%line.asNeeded", covered="conditional", paNeeded="no-auth")),
        "'conditional' needs infoNeeded",
    ),
    broken(
        "wrong code in a row",
        lambda plan: rows(plan)[1]["extension"][0]["extension"][1].update(valueCode="auth-neded"),
        "paNeeded 'auth-neded'; did you mean 'auth-needed'?",
    ),
    broken(
        "short answer behind a criterion",
        lambda plan: rows(plan).insert(
            0, row("auth.x", "%`acme-oxygen.rest`.met", covered="covered", paNeeded="auth-needed")
        ),
        "gives criteria=false, so neither it nor a row above may read 'acme-oxygen.rest'",
    ),
    broken(
        "determination on an exclusion",
        lambda plan: plan["action"][EXCLUSIONS]["action"][0].update(extension=rows(plan)[1]["extension"]),
        "it stands on a row of the authorization table",
    ),
    broken("fact that nothing reads", lambda plan: inputs(plan).append(retrieved("more", "Condition", "dx-lung")),
           "input 'more' is read by no condition"),
    broken("per without limit", lambda plan: inputs(plan)[1].pop("limit"), "'per' counts within 'limit'; add limit"),
    broken(
        "window on no date",
        lambda plan: inputs(plan)[1].update(dateFilter=window("issued", "%orderDate - 90 days", None)),
        "'issued' is no date to search by; write 'effective'",
    ),
    broken(
        "where that yields no boolean",
        lambda plan: inputs(plan)[1].update(
            extension=[*derived("x", "y", "%saturation")["extension"], selection("value", ("measurement",))]
        ),
        "it yields true, false or nothing per item",
    ),
    broken(
        "suggestion to a field that cannot be written",
        lambda plan: plan["action"][ADVICE]["action"][0]["action"][0]["dynamicValue"][0].update(path="modifiers"),
        "did you mean 'modifier'?",
    ),
    broken(
        "an order made of nothing",
        lambda plan: plan["action"][ADVICE]["action"][0]["action"][0]["type"]["coding"][0].update(code="create"),
        "creates an order from nothing",
    ),
    broken("no citation", lambda plan: criteria(plan)[0].pop("documentation"), "no citation; add documentation"),
    broken("unknown extension",
           lambda plan: criteria(plan)[0].update(extension=[{"url": "http://x.org/y", "valueCode": "z"}]),
           "unknown extension 'http://x.org/y'"),
    broken("version is not the folder", lambda plan: plan.update(version="2024-06-02"),
           "version: '2024-06-02' but the folder is '2024-06-01'; they are one string"),
    broken("payer not held",
           lambda plan: plan["useContext"][0]["valueReference"].update(reference="InsurancePlan/acmee"),
           "payer 'acmee' is not held; did you mean 'acme'?"),
    broken("a document that can never be on file", lambda plan: plan["action"][DOCUMENTS]["action"][0].pop("input")
           and plan["action"][DOCUMENTS]["action"][0].pop("condition"), "can never be on file"),
    broken("library not held", lambda plan: plan.update(library=[f"{BASE}/Library/none|1"]), "is not held"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), BROKEN)
def test_a_broken_plan_is_refused_with_where_what_and_how(change: Break, words: tuple[str, ...]) -> None:
    plan = small_plan()
    change(plan)
    found = faults(plan)
    assert found, "the fault was not seen"
    text = "\n".join(found)
    for word in words:
        assert word in text, text
    assert all(one.startswith(("plans/acme", "valuesets/")) for one in found), text


def test_every_fault_is_reported_in_one_run() -> None:
    plan = small_plan()
    start_of(plan, "today() > %orderDate")
    inputs(plan)[3]["codeFilter"][0]["valueSet"] = f"{BASE}/ValueSet/dx-lung|2"
    criteria(plan)[1].pop("documentation")
    plan["version"] = "2024-06-02"
    text = "\n".join(faults(plan))
    for word in ("today", "dx-lung|2", "no citation", "they are one string"):
        assert word in text


def test_a_file_of_a_kind_that_is_not_held_is_named() -> None:
    assert "'Patient' is not held here" in faults(small_plan(), {"resourceType": "Patient"})[0]


def test_a_disabled_policy_that_is_not_held_is_a_fault() -> None:
    _, problems = load_catalogue(definitions(), disabled=frozenset({"acme-oxygn"}))
    assert "one of acme-oxygen" in str(problems[0])


def test_groups_may_have_a_demand_of_their_own() -> None:
    plan = small_plan()
    root = plan["action"][CRITERIA]["action"][0]
    root["action"].append(
        group("acme-oxygen.borderline", "one-or-more", criterion("acme-oxygen.edema"), start="%restingLow.not()")
    )
    assert faults(plan) == []


VALUE_SETS = [
    ("listed but not expanded", lambda one: one["expansion"]["contains"].pop(), "is listed but not expanded"),
    ("expanded but not listed", lambda one: one["compose"]["include"][0]["concept"].pop(), "not in the definition"),
    ("no codes", lambda one: one["expansion"].update(contains=[]), "has no codes"),
    ("listed twice", lambda one: one["compose"]["include"][0]["concept"].append({"code": "59408-5"}), "listed twice"),
    ("system variant", lambda one: one["compose"]["include"][0].update(system="https://loinc.org/"), "is a variant"),
    ("whole code system", lambda one: one["compose"]["include"].append({"system": "http://snomed.info/sct"}),
     "a whole code system"),
    ("not active", lambda one: one.update(status="draft"), "only active value sets"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), [one[1:] for one in VALUE_SETS], ids=[one[0] for one in VALUE_SETS])
def test_a_value_set_whose_definition_and_expansion_disagree_is_refused(
    change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    broken_set = value_set("obs-more", "http://loinc.org", "59408-5", "59417-6")
    change(broken_set)
    text = "\n".join(faults(small_plan(), broken_set))
    assert words in text


def test_an_icd_root_means_itself_and_all_its_descendants() -> None:
    rooted = value_set("dx-copd", "http://hl7.org/fhir/sid/icd-10-cm", "J44", "J44.9", "J44.8", "J44.81")
    rooted["compose"]["include"][0] = {
        "system": "http://hl7.org/fhir/sid/icd-10-cm",
        "filter": [{"property": "concept", "op": "is-a", "value": "J44"}],
    }
    assert faults(small_plan(), rooted) == []
    rooted["expansion"]["contains"].append({"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "J45.20"})
    assert "not in the definition" in "\n".join(faults(small_plan(), rooted))


def test_the_caution_of_a_policy_is_the_text_of_its_authorization() -> None:
    plan = small_plan()
    plan["action"][AUTHORIZATION]["textEquivalent"] = "The rule is old."
    catalogue, problems = load_catalogue(definitions(plan))
    assert catalogue is not None, problems
    assert catalogue.policies[0].caution == "The rule is old."
