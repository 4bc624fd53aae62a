"""What the input of `$questionnaire-package` may be, and what is said of one that cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.crd.small_call import coverage, order
from tests.unit.dtr.small_form import CANONICAL, URL
from tests.unit.dtr.small_package import parameters, read, refused

COVERAGE = ("coverage", coverage())


def test_every_parameter_is_read() -> None:
    practitioner = {"resourceType": "Practitioner", "id": "dr1"}
    given = (
        COVERAGE,
        ("order", order()),
        ("referenced", practitioner),
        ("questionnaire", CANONICAL),
        ("questionnaire", URL),
        ("context", "id-1"),
        ("changedsince", "2026-11-20T08:00:00Z"),
    )
    asked = read(parameters(*given, profile="http://x|2.0.1"))
    assert [one.resource["id"] for one in (*asked.coverages, *asked.orders, *asked.referenced)] == ["c1", "o1", "dr1"]
    assert [str(one) for one in asked.questionnaires] == [CANONICAL, URL]
    assert (asked.context, asked.profiles) == ("id-1", ("http://x|2.0.1",))
    assert asked.changed_since is not None and asked.changed_since.text == "2026-11-20T08:00:00Z"


def test_a_parameter_that_nobody_knows_is_passed_over() -> None:
    document = parameters(("context", "id-1"))
    document["parameter"] += [{"name": "launch", "valueString": "x"}, {"name": 7}, {}, {"name": []}, {"name": {"x": 1}}]
    assert read(document).context == "id-1"


def test_coverage_and_order_may_come_more_than_once() -> None:
    asked = read(parameters(COVERAGE, ("coverage", coverage("c2")), ("order", order()), ("order", order("o2"))))
    assert (len(asked.coverages), len(asked.orders)) == (2, 2)


def test_the_same_questionnaire_twice_is_one() -> None:
    assert len(read(parameters(COVERAGE, ("questionnaire", URL), ("questionnaire", URL))).questionnaires) == 1


@pytest.mark.parametrize("kind", ["valueCanonical", "valueUri", "valueString", "valueUrl"])
def test_a_canonical_may_stand_as_any_kind_of_text(kind: str) -> None:
    document = parameters(COVERAGE)
    document["parameter"].append({"name": "questionnaire", kind: URL})
    assert [one.url for one in read(document).questionnaires] == [URL]


@pytest.mark.parametrize("value", ["2026-11-20", "2026-11-20T08:00:00-05:00", "2026-11-20T08:00:00.123Z"])
def test_changedsince_may_be_an_instant_or_a_date(value: str) -> None:
    assert read(parameters(("context", "x"), ("changedsince", value))).changed_since is not None


def test_with_a_context_no_coverage_is_needed() -> None:
    assert read(parameters(("context", "id-1"))).coverages == ()


def bad(name: str, **value: Any) -> dict[str, Any]:
    document = parameters(COVERAGE, ("context", "id-1"))
    document["parameter"].append({"name": name, **value})
    return document


@pytest.mark.parametrize(
    ("document", "where", "what"),
    [
        (b"", "body", "not JSON"),
        (b"[]", "body", "not a JSON object"),
        (b"\xff{}", "body", "not JSON"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "body", "nested"),
        ({"resourceType": "Bundle"}, "body", "not a Parameters"),
        ({"resourceType": "Parameters"}, "parameter", "not a list"),
        ({"resourceType": "Parameters", "parameter": "x"}, "parameter", "not a list"),
        ({"resourceType": "Parameters", "parameter": [1]}, "parameter", "not a list"),
        ({"resourceType": "Parameters", "parameter": []}, "parameter", "which questionnaires"),
        (parameters(COVERAGE), "parameter", "which questionnaires"),
        (parameters(("order", order())), "parameter", "no coverage"),
        (parameters(("questionnaire", URL)), "parameter", "no coverage"),
        (bad("coverage"), "parameter[2]", "carries no resource"),
        (bad("coverage", valueReference={"reference": "Coverage/c1"}), "parameter[2]", "carries no resource"),
        (bad("coverage", resource={"resourceType": "Patient"}), "parameter[2].resource", "a Patient where a Coverage"),
        (bad("coverage", resource={**coverage(), "payor": {}}), "parameter[2].resource", "payor is not a list"),
        (bad("order", resource={"resourceType": "Claim"}), "parameter[2].resource", "a Claim where an order"),
        (bad("order", resource={"resourceType": "<script>"}), "parameter[2].resource", "something where an order"),
        (bad("order", resource={}), "parameter[2].resource", "has no resourceType"),
        (bad("order", resource={**order(), "authoredOn": "soon"}), "parameter[2].resource", "authoredOn"),
        (bad("referenced", resource="x"), "parameter[2]", "carries no resource"),
        (bad("questionnaire"), "parameter[2].value", "has no value"),
        (bad("questionnaire", valueCanonical=7), "parameter[2].value", "has no value"),
        (bad("context", valueString=" "), "parameter[2].value", "has no value"),
        (bad("context", valueString="id-2"), "parameter[2]", "a second context"),
        (bad("changedsince", valueInstant="yesterday"), "parameter[2].value", "not an instant"),
    ],
)
def test_an_input_that_cannot_be_read_is_told_where_and_what(document: Any, where: str, what: str) -> None:
    problem = refused(document)
    assert (problem.kind, problem.where) == ("invalid", where)
    assert what in problem.what and problem.fix


def test_a_context_longer_than_any_id_is_none_that_is_kept() -> None:
    assert refused(parameters(("context", "x" * 201))).kind == "not-found"


def test_more_than_any_visit_has_is_too_costly() -> None:
    orders = [("order", order(f"o{n}")) for n in range(26)]
    for given in (
        (COVERAGE, *orders, *orders),
        (COVERAGE, ("coverage", coverage("c2")), *orders),
        (("context", "id-1"), *(("coverage", coverage(f"c{n}")) for n in range(51))),
        (COVERAGE, *(("questionnaire", f"{URL}{n}") for n in range(51))),
    ):
        problem = refused(parameters(*given))
        assert (problem.kind, problem.code, problem.where) == ("not-supported", "too-costly", "parameter")
    assert len(read(parameters(COVERAGE, *orders)).orders) == 26
