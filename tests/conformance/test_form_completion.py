"""Request Form Completion, as a client without DTR gets it, in every version of the guide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.packages import package, profile_faults
from tests.conformance.statements import requirement
from tests.misbehaving_ehr import misbehaving_ehr
from tests.read_back_calls import CALL, client, holds_everything, posted

FORM = "https://cds-service.example.org/fhir/Questionnaire/masshealth-home-oxygen"
TASK = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/profile-taskquestionnaire"
MODEL = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/CRDHooksResponse-formCompletion"


def form_card(version: str, folder: Path, dtr: Any = False) -> tuple[dict[str, Any], list[str]]:
    """The card that brings a Task, and what was asked of the EHR before it was sent."""
    with misbehaving_ehr() as ehr:
        holds_everything(ehr)
        ehr.finds(f"Questionnaire?url={FORM}")
        entry = {"id": "clinic", "fhir": [ehr.base.removesuffix("/fhir")], "dtr": dtr, "crdVersion": version}
        (folder / "clients.json").write_text(json.dumps({"clients": [entry]}))
        answer = posted(client(CDS_CLIENTS=str(folder / "clients.json")), {**CALL, "fhirServer": ehr.base})
        cards = [card for card in answer["cards"] if '"Task"' in json.dumps(card)]
        return (cards[0] if cards else {}), ehr.asked


@requirement("resp-62", "resp-15")
@pytest.mark.parametrize("version", ["2.0", "2.2"])
def test_the_task_fits_its_profile(version: str, tmp_path: Path, fhir_folder: Path) -> None:
    card, _ = form_card(version, tmp_path)
    task = card["suggestions"][0]["actions"][-1]["resource"]
    assert profile_faults(package(fhir_folder, version), TASK, task) == []


@requirement("resp-65")
def test_the_card_fits_its_logical_model(tmp_path: Path, fhir_folder: Path) -> None:
    card, _ = form_card("2.2", tmp_path)
    faults = profile_faults(package(fhir_folder, "2.2"), MODEL, {"cards": [card]})
    assert [one for one in faults if ".extension" not in one and ".systemActions" not in one] == []


@requirement("dev-19", "dev-20", "resp-63")
def test_the_form_is_created_only_where_the_client_was_asked_and_lacks_it(tmp_path: Path) -> None:
    card, asked = form_card("2.2", tmp_path)
    form, _ = card["suggestions"][0]["actions"]
    assert asked == [f"Questionnaire?url={FORM}"]
    assert form["extension"]["davinci-crd.if-none-exist"].startswith(f"url={FORM}&version=")
    served = json.loads(client().get("/fhir/Questionnaire/masshealth-home-oxygen").data)
    assert form["resource"] == {name: value for name, value in served.items() if name != "id"}


@requirement("resp-59")
def test_a_client_that_has_dtr_gets_no_form_by_task(tmp_path: Path) -> None:
    assert form_card("2.2", tmp_path, dtr={}) == ({}, [])
