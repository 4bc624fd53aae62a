"""What discovery asks the EHR for, and that we can read back what we asked."""

from __future__ import annotations

import re

from cds_service.crd.discovery import discovery
from cds_service.crd.prefetch import templates, type_of
from tests.fakes import FakeCatalogue

SERVICE = discovery(FakeCatalogue(types_needed=frozenset({"Condition", "DeviceRequest", "Location", "Patient"})))[
    "services"
][0]


def test_each_key_stands_for_the_type_that_its_template_asks_for() -> None:
    for key, template in SERVICE["prefetch"].items():
        assert template.startswith(type_of(key)), key


def test_a_type_that_policies_read_has_a_template() -> None:
    found = templates({"Condition", "DocumentReference"})
    assert found["conditions"] == "Condition?patient={{context.patientId}}"
    assert found["documentReferences"] == "DocumentReference?patient={{context.patientId}}"


def test_a_type_that_no_policy_reads_is_not_asked_for() -> None:
    assert "observations" not in SERVICE["prefetch"]


def test_a_type_that_cannot_be_searched_by_patient_is_not_asked_for() -> None:
    assert not any("Location" in one for one in SERVICE["prefetch"].values())


def test_crds_own_expressions_are_used_as_they_stand() -> None:
    assert SERVICE["prefetch"]["patient"] == "Patient/{{context.patientId}}"
    assert SERVICE["prefetch"]["encounter"] == "Encounter/{{context.encounterId}}"
    assert SERVICE["prefetch"]["coverage"] == "Coverage?patient={{context.patientId}}&status=active"


def test_templates_use_only_tokens_of_cds_hooks_2_0() -> None:
    known = {"context.patientId", "context.encounterId", "userPractitionerId", "userPractitionerRoleId"}
    tokens = {one for text in SERVICE["prefetch"].values() for one in re.findall(r"{{(.*?)}}", text)}
    assert tokens <= known
