"""Packages held against the published DTR 2.0.1: its profiles, and what they say in invariants. And against R4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cds_service.app import load_policies
from cds_service.dtr.dialects import DIALECTS, DTR_20, Dialect
from cds_service.policy.catalogue import Catalogue
from cds_service.settings import read_settings
from tests.conformance.packages import DTR as DTR_PACKAGE
from tests.conformance.packages import package, profile_faults, r4_faults
from tests.conformance.statements import requirement
from tests.unit.crd.small_call import coverage
from tests.unit.dtr.small_form import CANONICAL, asking_catalogue
from tests.unit.dtr.small_package import bundles, context, draft, packaged, read

DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition"
OF_TYPE = {
    "Questionnaire": f"{DTR}/dtr-std-questionnaire",
    "QuestionnaireResponse": f"{DTR}/dtr-questionnaireresponse",
    "Bundle": f"{DTR}/DTR-QPackageBundle",
    "Parameters": f"{DTR}/dtr-qpackage-output-parameters",
}


def shipped() -> Catalogue:
    settings, problems = read_settings({"CDS_CLIENT_AUTH": "off"})
    assert settings is not None, problems
    return load_policies(settings).catalogue


def forms() -> list[tuple[str, Catalogue, bool]]:
    """Every questionnaire that is held, and the small one, which a context fills."""
    catalogue = shipped()
    held = [one.form.canonical for one in catalogue.policies if one.form is not None and not one.retired]
    return [(CANONICAL, asking_catalogue(), True), *((one, catalogue, False) for one in held)]


FORMS = forms()


def answer(canonical: str, catalogue: Catalogue, filled: bool, dialect: Dialect) -> Any:
    kept = context(catalogue=catalogue) if filled else None
    given = [("coverage", coverage()), ("questionnaire", canonical), *([("context", kept.id)] if kept else [])]
    return packaged(*given, contexts=[kept] if kept else [], catalogue=catalogue, dialect=dialect)


def in_languages_of_r4(node: Any) -> Any:
    """The JSON schema of R4 has the three languages of its value set alone, whose binding is extensible. DTR names two
    more: text/cql-identifier (2.2, spec-86), and application/elm+json in alternativeExpression."""
    if isinstance(node, list):
        return [in_languages_of_r4(one) for one in node]
    if not isinstance(node, dict):
        return node
    found = {name: in_languages_of_r4(one) for name, one in node.items()}
    if found.get("language") in ("text/cql-identifier", "application/elm+json"):
        found["language"] = "text/cql"
    return found


@requirement("found-4")
@pytest.mark.parametrize(("canonical", "catalogue", "filled"), FORMS, ids=[one[0].rsplit("/", 1)[-1] for one in FORMS])
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.name)
def test_a_package_is_sound_fhir(
    canonical: str, catalogue: Catalogue, filled: bool, dialect: Dialect, fhir_folder: Path
) -> None:
    answered = in_languages_of_r4(answer(canonical, catalogue, filled, dialect))
    faults = r4_faults(fhir_folder, answered)
    assert bundles(answered, dialect.package_parameter), "the form is not held"
    for bundle in bundles(answered, dialect.package_parameter):
        for entry in bundle["entry"]:
            faults += [f"{entry['fullUrl']}: {one}" for one in r4_faults(fhir_folder, entry["resource"])]
    assert faults == []


@requirement("dtr/profile-response", "dtr/based-on", "dtr/dtrx-1")
@pytest.mark.parametrize(("canonical", "catalogue", "filled"), FORMS, ids=[one[0].rsplit("/", 1)[-1] for one in FORMS])
def test_a_package_of_2_0_1_is_as_its_profiles_want_it(
    canonical: str, catalogue: Catalogue, filled: bool, fhir_folder: Path
) -> None:
    guide = package(fhir_folder, DTR_PACKAGE)
    answered = answer(canonical, catalogue, filled, DTR_20)
    [bundle] = bundles(answered, "PackageBundle")
    faults = profile_faults(guide, OF_TYPE["Parameters"], answered) + profile_faults(guide, OF_TYPE["Bundle"], bundle)
    for resource in (one["resource"] for one in bundle["entry"]):
        profile = OF_TYPE.get(resource["resourceType"])
        faults += profile_faults(guide, profile, resource) if profile is not None else []
    # of a questionnaire that is asked for without an order only the coverage is known: qr-context 2..*
    assert [one for one in faults if filled or "QuestionnaireResponse.extension" not in one] == []
    assert bundle["entry"][0]["resource"]["resourceType"] == "Questionnaire"  # dtrb-1
    for origin in origins(draft(bundle)["item"]):
        sources = [one for one in origin["extension"] if one["url"] == "source"]
        assert [one["valueCode"] for one in sources] == ["auto"]  # dtrx-1: an author only where it is not auto
        assert len(origin["extension"]) == 1


def origins(items: Any) -> Any:
    for item in items:
        for one in item.get("answer", ()):
            yield from one["extension"]
            yield from origins(one.get("item", ()))
        yield from origins(item.get("item", ()))


@requirement("dtr/package-input")
def test_the_guides_own_input_is_read(fhir_folder: Path) -> None:
    path = fhir_folder / "examples" / "dtr" / "ig201-Parameters-package-in.json"
    asked = read(path.read_bytes())
    assert [one.resource["resourceType"] for one in (*asked.coverages, *asked.orders)] == ["Coverage", "ServiceRequest"]
