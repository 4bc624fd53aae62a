"""What `check` finds in value sets that load: one broken example for each lint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cds_service.adapters.icd10cm_package import packaged_codes
from cds_service.policy.load import load_catalogue
from cds_service.terminology.lints import lint_value_sets
from tests.unit.policy.small_plan import ICD, LOINC, definitions, value_set


class FakeCodes:
    """Three codes under J44, one of them new, and their category."""

    release = "April 2026"
    under = frozenset({"J44.0", "J44.1", "J44.9"})

    def holds(self, code: str) -> bool:
        return code in {*self.under, "J44"}

    def billable_under(self, code: str) -> frozenset[str]:
        return frozenset(one for one in self.under if one.startswith(code))


def rooted(root: str, *expanded: str) -> dict[str, Any]:
    found = value_set("dx-lung", ICD, *expanded)
    found["compose"]["include"] = [{"system": ICD, "filter": [{"property": "concept", "op": "is-a", "value": root}]}]
    return found


def lint(*sets: dict[str, Any], codes: FakeCodes | None = None, read: Iterable[str] | None = None) -> list[str]:
    named = [(f"valuesets/{one['id']}.json", one) for one in sets]
    used = {f"{one['url']}|1" for one in sets} if read is None else set(read)
    return [str(one) for one in lint_value_sets(named, used, codes)]


def test_an_expansion_that_has_all_billable_codes_of_its_root_is_current() -> None:
    assert lint(rooted("J44", "J44", "J44.0", "J44.1", "J44.9"), codes=FakeCodes()) == []


def test_an_expansion_that_lacks_a_code_of_its_root_is_out_of_date() -> None:
    [fault] = lint(rooted("J44", "J44", "J44.0", "J44.9"), codes=FakeCodes())
    assert fault.startswith(
        "valuesets/dx-lung.json: compose.include[0].filter[0]: under J44 ICD-10-CM April 2026 has J44.1"
    )
    assert fault.endswith("bring the expansion up to date")


def test_a_code_that_does_not_exist_is_told_where_it_is_listed_and_where_it_is_expanded() -> None:
    faults = lint(value_set("dx-lung", ICD, "J44.9", "J44.7"), codes=FakeCodes())
    assert len(faults) == 2 and all("J44.7 is no code of ICD-10-CM April 2026" in one for one in faults)


def test_a_root_that_does_not_exist_is_told() -> None:
    faults = lint(rooted("J99", "J44.9"), codes=FakeCodes())
    assert any("filter[0]: J99 is no code" in one for one in faults)


def test_without_a_list_of_codes_shapes_and_check_digits_are_still_held() -> None:
    assert lint(value_set("dx-lung", ICD, "J44.7")) == []
    [shape] = lint(value_set("dx-lung", ICD, "J447"))
    assert "J447 does not look like a code" in shape
    [digit] = lint(value_set("obs", LOINC, "59408-6"))
    assert digit.startswith("valuesets/obs.json: compose.include[0].concept[0]: 59408-6 the check digit is 6")


def test_a_set_that_no_policy_reads_is_told() -> None:
    [fault] = lint(value_set("dx-lung", ICD, "J44.9"), read=())
    assert "no policy reads https://cds-service.example.org/fhir/ValueSet/dx-lung|1" in fault


def test_all_faults_of_all_sets_come_at_once() -> None:
    assert len(lint(value_set("a", LOINC, "59408-6", "2708-5"), value_set("b", LOINC, "1-1"), read=())) == 5


def test_the_package_knows_codes_categories_and_what_is_billable_under_them() -> None:
    codes = packaged_codes()
    assert codes is not None, "the extra 'check', which 'dev' includes, brings simple-icd-10-cm"
    assert codes.holds("J44.9") and codes.holds("J44") and codes.holds("O09")
    assert not codes.holds("J44.7") and not codes.holds("10") and not codes.holds("J40-J4A")
    assert codes.billable_under("J44") >= {"J44.0", "J44.1", "J44.9"} and "J44" not in codes.billable_under("J44")
    assert codes.billable_under("J44.9") == {"J44.9"} and codes.billable_under("O09")
    assert codes.release


# -- contradictions: refused at load


def contradicting(other: str, *codes: str) -> dict[str, Any]:
    found = value_set("obs-at-work", LOINC, *codes)
    url = "https://cds-service.example.org/fhir/StructureDefinition/contradicts"
    return {**found, "extension": [{"url": url, "valueCanonical": other}]}


REST = "https://cds-service.example.org/fhir/ValueSet/obs-at-rest|1"


def loaded(one: dict[str, Any]) -> list[str]:
    _, problems = load_catalogue(definitions(None, one))
    return [str(problem) for problem in problems]


def test_a_code_in_two_sets_that_contradict_each_other_is_refused() -> None:
    [fault] = loaded(contradicting(REST, "59417-6", "89276-0"))
    assert "59417-6 (obs-at-work) is also in" in fault and "which contradicts it" in fault
    assert loaded(contradicting(REST, "89276-0")) == []


def test_a_contradiction_of_a_set_that_is_not_held_or_not_pinned_is_refused() -> None:
    assert "which is not held" in loaded(contradicting(REST.replace("rest", "night"), "89276-0"))[0]
    assert "no pinned value set" in loaded(contradicting(REST.removesuffix("|1"), "89276-0"))[0]


def test_an_extension_of_a_value_set_that_nothing_reads_is_refused() -> None:
    one = value_set("obs-other", LOINC, "89276-0")
    one["extension"] = [{"url": "http://example.org/whatever", "valueString": "x"}]
    assert "unknown extension" in loaded(one)[0]
