"""Paths: choice elements, views, references, and resources that are not shaped as FHIR says."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.fhir.dates import parse_date
from cds_service.fhir.fhirpath import EvaluationFault, FhirPathError, Type
from cds_service.fhir.quantities import Quantity
from tests.unit.fhir.surroundings import Codes, Line, Surroundings, compiled, truth, values

SATURATION = {
    "resourceType": "Observation",
    "status": "final",
    "effectiveDateTime": "2026-01-31T10:00:00-05:00",
    "valueQuantity": {"value": 87.5, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"},
    "component": [{"valueQuantity": {"value": 2, "unit": "L/min"}}, {"valueCodeableConcept": {"text": "At rest"}}],
}


def test_elements_are_read_with_the_type_that_r4_gives_them() -> None:
    assert values("effective", SATURATION) == [parse_date("2026-01-31T10:00:00-05:00")]
    assert values("value.value", SATURATION) == [Decimal("87.5")]
    assert values("status", SATURATION) == ["final"]


def test_a_choice_element_is_read_by_its_stem_whatever_its_type() -> None:
    assert values("component.value.text", SATURATION) == ["At rest"]
    assert values("component.value.value", SATURATION) == [Decimal(2)]
    assert values("value.ofType(Quantity).unit", SATURATION) == ["%"]
    assert values("value.ofType(CodeableConcept).text", SATURATION) == []


def test_the_type_of_the_focus_may_lead_the_path() -> None:
    assert values("Observation.status", SATURATION) == ["final"]


def test_a_quantity_is_compared_whether_it_comes_as_json_or_already_read() -> None:
    assert truth("value <= 88 '%'", SATURATION) is True
    assert truth("value <= 88 '%'", {"value": Quantity(Decimal("87.5"), "%")}, "Reading") is True
    assert (
        truth("value.value = 87.5 and value.unit = '%'", {"value": Quantity(Decimal("87.5"), "%")}, "Reading") is True
    )


def test_a_value_of_another_kind_than_the_limit_is_unknown_and_not_beyond_it() -> None:
    textual = {"resourceType": "Observation", "valueString": "low"}
    assert truth("value <= 88 '%'", textual) is None
    assert truth("value = 88 '%'", textual) is None
    assert truth("value = 'low'", textual) is True


def test_a_value_given_as_a_bound_is_no_value_to_compare() -> None:
    bound = {"resourceType": "Observation", "valueQuantity": {"value": 60, "comparator": "<", "unit": "mmHg"}}
    assert truth("value <= 88 'mm[Hg]'", bound) is None


def test_in_the_focus_a_choice_is_sorted_out_item_by_item() -> None:
    text = "component.value.select(iif(text.lower() in ('at rest' | 'resting'), 'at-rest'))"
    assert values(text, SATURATION) == ["at-rest"]
    assert truth("component.value.exists($this = 2 'L/min')", SATURATION) is True
    mixed = {"resourceType": "Observation", "component": [{"valueBoolean": True}, {"valueInteger": 1}]}
    assert truth("component.value.exists($this = 1)", mixed) is True
    assert truth("component.value.where($this = 1).count() = 1", mixed) is True  # true is not 1


def test_a_view_gives_its_fields_and_behind_them_the_elements_of_the_order() -> None:
    order = {"resourceType": "DeviceRequest", "priority": "stat", "authoredOn": "2026-02-10"}
    line = Line(order, firstDay=parse_date("2026-02-12"))
    assert truth("firstDay = @2026-02-12 and priority = 'stat'", line, "OrderLine") is True
    assert truth("authoredOn < firstDay", line, "OrderLine") is True
    assert values("lastDay", line, "OrderLine") == []


def test_a_view_may_be_a_plain_mapping_and_may_work_out_a_field_when_asked() -> None:
    class Lazy(dict[str, Any]):
        def __missing__(self, name: str) -> Any:
            if name != "activity":
                raise KeyError(name)
            self[name] = "at-rest"
            return self[name]

    assert values("activity", {"activity": "at-rest"}, "Reading") == ["at-rest"]
    assert values("activity", Lazy(), "Reading") == ["at-rest"]
    assert values("date", Lazy(), "Reading") == []


def test_one_of_several_request_types_is_read_where_any_of_them_has_the_element() -> None:
    expression = compiled("%order.code.coding.code", {"order": Type.of("DeviceRequest", "ServiceRequest")})
    device = {"resourceType": "DeviceRequest", "codeCodeableConcept": {"coding": [{"code": "E1390"}]}}
    service = {"resourceType": "ServiceRequest", "code": {"coding": [{"code": "S9500"}]}}
    assert list(expression.evaluate(Surroundings({"order": [device]}))) == ["E1390"]
    assert list(expression.evaluate(Surroundings({"order": [service]}))) == ["S9500"]


def test_an_element_that_repeats_in_one_type_and_not_in_the_other_is_read_in_both() -> None:
    expression = compiled("%order.performer.reference", {"order": Type.of("DeviceRequest", "ServiceRequest")})
    for performer in ({"reference": "Organization/1"}, [{"reference": "Organization/1"}]):
        assert list(expression.evaluate(Surroundings({"order": [{"performer": performer}]}))) == ["Organization/1"]


def test_views_and_raw_resources_may_stand_in_one_list() -> None:
    expression = compiled("%orders.priority", {"orders": Type.of("OrderLine", "DeviceRequest", many=True)})
    line = Line({"resourceType": "ServiceRequest", "priority": "stat"})
    raw = {"resourceType": "DeviceRequest", "priority": "routine"}
    assert list(expression.evaluate(Surroundings({"orders": [line, raw]}))) == ["stat", "routine"]


def test_one_name_may_have_another_type_on_each_item() -> None:
    expression = compiled("%parts.value", {"parts": Type.of("Quantity", "ContactPoint", many=True)})
    around = Surroundings({"parts": [{"value": 2.5}, {"value": "555-0100"}, {"value": []}]})
    assert list(expression.evaluate(around)) == [Decimal("2.5"), "555-0100"]


def test_a_field_of_many_may_come_as_any_sequence() -> None:
    assert values("text", Line(text=("a", "b")), "OrderLine") == ["a", "b"]
    assert values("text", Line(text=None), "OrderLine") == []


def test_the_lines_of_a_draft_are_sorted_by_the_type_of_the_order_behind_them() -> None:
    expression = compiled("%draft.ofType(ServiceRequest).code.code", {"draft": Type.of("OrderLine", many=True)})
    device = Line({"resourceType": "DeviceRequest"}, code={"code": "E1390"})
    service = Line({"resourceType": "ServiceRequest"}, code={"code": "S9500"})
    assert list(expression.evaluate(Surroundings({"draft": [device, service]}))) == ["S9500"]


def test_one_of_several_resource_types_is_told_by_its_resource_type() -> None:
    types = {"order": Type.of("DeviceRequest", "ServiceRequest"), "list": Type.of("Resource", many=True)}
    device = {"resourceType": "DeviceRequest", "status": "draft"}
    around = Surroundings({"order": [device], "list": [device, {"resourceType": "Patient"}, "noise"]})
    assert list(compiled("%order.ofType(DeviceRequest).status", types).evaluate(around)) == ["draft"]
    assert list(compiled("%order.ofType(ServiceRequest).status", types).evaluate(around)) == []
    assert list(compiled("%list.ofType(DeviceRequest).status", types).evaluate(around)) == ["draft"]
    assert values("DeviceRequest.status", device, Type.of("DeviceRequest", "ServiceRequest")) == ["draft"]
    assert values("ServiceRequest.status", device, Type.of("DeviceRequest", "ServiceRequest")) == []


def test_plain_values_among_others_are_told_by_themselves() -> None:
    mixed = {"component": [{"valueBoolean": True}, {"valueString": "x"}, {"valueQuantity": {"value": 1}}]}
    assert values("component.value.where(ofType(boolean).exists())", mixed, "Observation") == [True]
    assert values("component.value.select(ofType(string))", mixed, "Observation") == ["x"]
    assert values("component.value.ofType(string)", mixed, "Observation") == ["x"]
    with pytest.raises(FhirPathError, match="not admitted so far from its element"):
        compiled("component.value.select(ofType(Period))", focus="Observation")
    with pytest.raises(FhirPathError, match=r"ofType\(Money\) finds nothing in"):
        compiled("value.ofType(Money)", focus="Observation")


def test_the_parts_of_a_quantity_that_is_read_already_can_be_named() -> None:
    reading = {"value": Quantity(Decimal(88), "%")}
    assert values("value.value", reading, "Reading") == [Decimal(88)]
    assert values("value.unit | value.code", reading, "Reading") == ["%"]
    assert values("value.system", reading, "Reading") == ["http://unitsofmeasure.org"]
    assert values("value.comparator", reading, "Reading") == []
    assert values("value.unit", {"value": Quantity(Decimal(88), "")}, "Reading") == []


def test_references_are_resolved_to_what_the_call_holds_and_sorted_by_type() -> None:
    drug = {"resourceType": "MedicationRequest", "id": "m"}
    held = {"MedicationRequest/m": drug, "Condition/c": {"resourceType": "Condition", "id": "c"}}
    order = {
        "resourceType": "ServiceRequest",
        "basedOn": [{"reference": "MedicationRequest/m"}, {"reference": "MedicationRequest/unknown"}, {"display": "?"}],
        "supportingInfo": [{"reference": "Condition/c"}],
    }
    text = "(%order.basedOn | %order.supportingInfo).resolve().ofType(MedicationRequest)"
    expression = compiled(text, {"order": Type.of("ServiceRequest")})
    assert list(expression.evaluate(Surroundings({"order": [order]}, resources=held))) == [drug]
    assert expression.type == Type.of("MedicationRequest", many=True)


def test_the_text_of_a_reference_is_resolved_too() -> None:
    drug = {"resourceType": "MedicationRequest", "id": "m"}
    expression = compiled("%line.references.resolve()", {"line": Type.of("OrderLine")})
    around = Surroundings({"line": [Line(references=["MedicationRequest/m"])]}, resources={"MedicationRequest/m": drug})
    assert list(expression.evaluate(around)) == [drug]


def test_an_expression_says_what_it_reads_and_of_what_type_it_is() -> None:
    expression = compiled(
        "%`ma-oxygen.findings`.status = 'met' and %line.code.memberOf('http://x/ValueSet/codes|1')",
        {"ma-oxygen.findings": Type.of("CriterionView"), "line": Type.of("OrderLine")},
        value_sets={"http://x/ValueSet/codes|1": Codes(frozenset())},
    )
    assert expression.reads == {"ma-oxygen.findings", "line"}
    assert expression.variable_members == {("ma-oxygen.findings", "status"), ("line", "code")}
    assert expression.value_sets == {"http://x/ValueSet/codes|1"}
    assert expression.type == Type.of("boolean")


def test_a_list_gives_each_item_in_turn_and_one_of_many_where_only_one_belongs_is_a_fault() -> None:
    patient = {"resourceType": "Patient", "name": [{"family": "A"}, {"family": "B"}]}
    assert values("name.family", patient) == ["A", "B"]
    with pytest.raises(EvaluationFault):
        truth("name.family < 'C'", patient)


# -- shapes that FHIR does not allow

WRONG: list[Any] = [
    None,
    5,
    1.5,
    True,
    "text",
    [],
    {},
    [[]],
    [None],
    [5],
    {"value": {}},
    {"coding": 5},
    {"coding": [5]},
]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(
    "text",
    [
        "value <= 88 '%'",
        "value = 'x'",
        "value.text.exists(matches('x'))",
        "effective <= @2026-01-01",
        "code.memberOf('http://x/ValueSet/codes|1')",
        "component.value.value > 1",
        "component.exists(code.memberOf('http://x/ValueSet/codes|1') and value.value <= 21)",
        "code.coding.code = 'x'",
        "(code | method).exists(memberOf('http://x/ValueSet/codes|1'))",
        "subject.resolve().exists()",
        "note.text.first().lower() = 'x'",
        "effective + 3 months > @2026-01-01",
        "(basedOn | hasMember).count() > 0",
    ],
)
def test_a_wrong_shape_anywhere_yields_nothing_and_never_breaks(text: str, wrong: Any) -> None:
    expression = compiled(text, focus="Observation", value_sets={"http://x/ValueSet/codes|1": Codes(frozenset())})
    keys = (
        "valueQuantity",
        "valueString",
        "valueCodeableConcept",
        "effectiveDateTime",
        "code",
        "component",
        "method",
        "subject",
        "note",
        "basedOn",
        "hasMember",
    )
    for observation in (dict.fromkeys(keys, wrong), {"component": [dict.fromkeys(keys, wrong)]}):
        assert expression.truth(Surroundings(), observation) in (True, False, None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["value", "coding", "system", "code", "text", "reference"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
observations = st.dictionaries(
    st.sampled_from(
        ["valueQuantity", "valueString", "code", "component", "effectiveDateTime", "status", "basedOn", "method"]
    ),
    json_values,
)
HARDY = [
    compiled(text, focus="Observation", value_sets={"http://x/ValueSet/codes|1": Codes(frozenset({("s", "C")}))})
    for text in (
        "value <= 88 '%' or value = 'x' or component.value.exists($this > 1)",
        "code.memberOf('http://x/ValueSet/codes|1') or component.code.coding.exists(code = 'c' and system = 's')",
        "effective < @2026-01-01 and status in ('final' | 'amended')",
        "(code | method | component.code).exists(text.lower() = 'x')",
        "basedOn.exists(reference = 'x') or basedOn.resolve().exists() or component.value.exists(memberOf('http://x/ValueSet/codes|1'))",
    )
]


@given(observations)
def test_no_json_whatsoever_makes_a_condition_fault_but_for_several_items(observation: dict[str, Any]) -> None:
    for expression in HARDY:
        try:
            assert expression.truth(Surroundings(), observation) in (True, False, None)
        except EvaluationFault as fault:
            assert "items where one is needed" in str(fault)
