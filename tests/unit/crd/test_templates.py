"""Prefetch templates: the guide's own to the letter, legal ones of CDS Hooks 2.0, and those that the plans make."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from cds_service.crd.templates import OF_PATIENT, searched_type, templates

HOOKS = ("order-sign", "order-select", "order-dispatch", "appointment-book", "encounter-start", "encounter-discharge")
NEEDED = {"Condition", "DeviceRequest", "Location", "Patient"}
# CDS Hooks 2.0 and its hooks: context members and user tokens, without FHIRPath
TOKENS_OF_2_0 = {"context.patientId", "context.encounterId", "userPractitionerId", "userPractitionerRoleId"}
EXAMPLE = "examples/crd-ig/crd-2.2.1-CRDServices.json"


@pytest.mark.skipif("CDS_TEST_FHIR" not in os.environ, reason="CDS_TEST_FHIR names no folder of FHIR packages")
@pytest.mark.parametrize("hook", HOOKS)
def test_the_expressions_of_crd_2_2_are_used_to_the_letter(hook: str) -> None:
    services = json.loads((Path(os.environ["CDS_TEST_FHIR"]) / EXAMPLE).read_text(encoding="utf-8"))["services"]
    [standard] = [one["prefetch"] for one in services if one["hook"] == hook]
    ours = templates(NEEDED, hook)
    assert {key: ours[key] for key in standard} == standard


@pytest.mark.parametrize("hook", HOOKS)
def test_an_ehr_of_cds_hooks_2_0_understands_what_a_policy_needs(hook: str) -> None:
    for key, template in templates(NEEDED, hook).items():
        tokens = set(re.findall(r"{{(.*?)}}", template))
        if searched_type(key, hook) is not None or key in ("practitioner", "practitionerRole", "userRoles"):
            assert tokens <= TOKENS_OF_2_0, key


@pytest.mark.parametrize("hook", HOOKS)
def test_a_template_names_only_keys_that_stand_before_it(hook: str) -> None:
    seen: set[str] = set()
    for key, template in templates(NEEDED, hook).items():
        assert set(re.findall(r"%([A-Za-z]+)", template)) <= seen, key
        seen.add(key)


@pytest.mark.parametrize("hook", HOOKS)
def test_each_key_stands_for_the_type_that_its_template_asks_for(hook: str) -> None:
    found = templates(OF_PATIENT, hook)
    searched = {kind: key for key in found if (kind := searched_type(key, hook)) is not None}
    assert set(searched) == OF_PATIENT | {"Patient", "Encounter", "Coverage", "ClaimResponse", "Claim"}
    assert all(re.match(r"[A-Za-z]+", found[key])[0] == kind for kind, key in searched.items())  # type: ignore[index]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_key_for_certain_resources_does_not_stand_for_all_of_the_patients(hook: str) -> None:
    for key, template in templates(OF_PATIENT, hook).items():
        assert (searched_type(key, hook) is None) is ("_id=" in template or "{{user" in template), key


def test_a_type_that_policies_read_has_a_template() -> None:
    found = templates({"Condition", "DocumentReference"})
    assert found["conditions"] == "Condition?patient={{context.patientId}}"
    assert found["documentReferences"] == "DocumentReference?patient={{context.patientId}}"


def test_a_type_that_no_policy_reads_or_that_no_patient_has_is_not_asked_for() -> None:
    assert "observations" not in templates(NEEDED)
    assert "Location?patient" not in str(templates(NEEDED))


def test_where_the_guide_has_a_key_of_that_name_ours_has_another() -> None:
    found = templates({"Device", "DeviceRequest"}, "order-dispatch")
    assert found["patientDevices"] == "Device?patient={{context.patientId}}"
    assert found["patientDeviceRequests"] == "DeviceRequest?patient={{context.patientId}}"
    assert found["deviceRequests"].startswith("DeviceRequest?_id=")


@pytest.mark.parametrize("hook", HOOKS)
def test_authorizations_on_file_are_asked_for_and_no_claims_for_payment(hook: str) -> None:
    found = templates((), hook)
    assert found["claimResponses"] == "ClaimResponse?patient={{context.patientId}}&use=preauthorization"
    assert found["claims"] == "Claim?patient={{context.patientId}}&use=preauthorization"
    assert not any(one.startswith("ExplanationOfBenefit") for one in found.values())


def test_the_payers_organization_can_be_sent_along() -> None:
    assert templates(())["payors"].startswith("Organization?_id={{%coverage.entry.resource.payor")
