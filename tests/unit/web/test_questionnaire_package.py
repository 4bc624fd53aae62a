"""`$questionnaire-package` from end to end: an order is signed, its questionnaire asked for in every way there is."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from cds_service.app import create_app
from cds_service.settings import read_settings
from tests.fakes import numbered_ids
from tests.unit.crd.small_call import ASKED_AT, bundle, call, coverage
from tests.unit.crd.small_call import order as ordered
from tests.unit.dtr.small_form import CANONICAL, URL, asking_plan, small_form
from tests.unit.dtr.small_package import PATIENT, answers, bundles, draft, issues, parameters
from tests.unit.policy.small_plan import HCPCS, definitions
from tests.unit.policy.test_criteria import saturation

PATH = "/fhir/Questionnaire/$questionnaire-package"
COVERAGE = ("coverage", coverage())
INFORMATION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"


class Service:
    """The service with the small plan and its form, at an instant that a test may move."""

    def __init__(self, folder: Path, **settings: str) -> None:
        for one in definitions(asking_plan()):
            write(folder / one.where, one.resource)
        write(folder / "plans/acme/oxygen/2024-06-01/Questionnaire.json", small_form())
        chosen = {
            "CDS_CLIENT_AUTH": "off",
            "CDS_PLANS": f"{folder}/plans",
            "CDS_VALUESETS": f"{folder}/valuesets",
            "CDS_DATABASE_URL": f"sqlite:///{folder}/var/cds.sqlite",
            "CDS_PUBLIC_URL": "https://cds.example.org",
            **settings,
        }
        read, problems = read_settings(chosen)
        assert read is not None, problems
        self.moment: datetime = ASKED_AT
        self.database = folder / "var" / "cds.sqlite"
        self.client: FlaskClient = create_app(read, lambda: self.moment, numbered_ids()).test_client()

    def sign(self, *orders: dict[str, Any], fhir_server: str | None = None) -> list[dict[str, Any]]:
        """The orders as they come back from order-sign."""
        chart = bundle(saturation(86, "2026-11-01"))
        given = {"patient": PATIENT, "coverage": bundle(coverage()), "observations": chart}
        sent = call(*(orders or (order(),)), prefetch=given)
        sent |= {"fhirServer": fhir_server} if fhir_server is not None else {}
        answered = self.client.post("/cds-services/order-sign-crd", json=sent)
        assert answered.status_code == 200, answered.text
        return [one["resource"] for one in answered.json["systemActions"]]

    def ask(self, *given: tuple[str, Any], path: str = PATH, profile: str | None = None, **headers: str) -> Any:
        response = self.client.post(path, json=parameters(*given, profile=profile), headers=headers)
        assert response.status_code == 200, response.text
        assert response.mimetype == "application/fhir+json" and response.headers["Cache-Control"] == "no-store"
        return response.json

    def refuse(self, *given: tuple[str, Any], path: str = PATH) -> tuple[int, str]:
        response = self.client.post(path, json=parameters(*given))
        assert response.json["resourceType"] == "OperationOutcome"
        return response.status_code, response.json["issue"][0]["details"]["text"]


def write(path: Path, resource: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(resource), encoding="utf-8")


def order(identity: str = "o1", code: str = "E1390", **more: Any) -> dict[str, Any]:
    return {**ordered(identity), "codeCodeableConcept": {"coding": [{"system": HCPCS, "code": code}]}, **more}


def assertion(resource: dict[str, Any]) -> str:
    [information] = resource["extension"]
    [found] = [one["valueString"] for one in information["extension"] if one["url"] == "coverage-assertion-id"]
    return str(found)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


# -- the ways to ask --------------------------------------------------------------------------------------


def test_the_assertion_id_of_a_signed_order_is_the_context_of_its_questionnaire(service: Service) -> None:
    [signed] = service.sign()
    service.moment += timedelta(days=3)
    [package] = bundles(service.ask(COVERAGE, ("context", assertion(signed))))
    assert package["entry"][0]["fullUrl"] == "https://cds.example.org/fhir/Questionnaire/acme-oxygen"
    response = draft(package)
    assert response["questionnaire"] == CANONICAL
    assert answers(response) == {
        "acme-oxygen.rest": "Y",
        "acme-oxygen.rest.found": "SpO2 86 %, 2026-11-01 (at rest, on room air)",
    }


def test_context_order_and_questionnaire_together_as_after_crd(service: Service) -> None:
    [signed] = service.sign()
    given = (COVERAGE, ("order", signed), ("context", assertion(signed)), ("questionnaire", CANONICAL))
    assert answers(draft(bundles(service.ask(*given))[0]))["acme-oxygen.rest"] == "Y"


def test_an_order_that_bears_its_assertion_id_needs_no_context(service: Service) -> None:
    [signed] = service.sign()
    assert answers(draft(bundles(service.ask(COVERAGE, ("order", signed)))[0]))["acme-oxygen.rest"] == "Y"


def test_an_order_that_was_never_signed_has_a_draft_of_what_the_order_says(service: Service) -> None:
    [package] = bundles(service.ask(COVERAGE, ("order", order())))
    response = draft(package)
    assert answers(response) == {}
    contexts = [one["valueReference"]["reference"] for one in response["extension"] if "valueReference" in one]
    assert contexts == ["DeviceRequest/o1", "Coverage/c1"]


def test_what_is_referenced_is_no_look_up_and_answers_nothing(service: Service) -> None:
    given = (COVERAGE, ("order", order()), ("referenced", saturation(95, "2026-11-01")))
    assert answers(draft(bundles(service.ask(*given))[0])) == {}


def test_orders_that_need_nothing_are_told_beside_those_that_do(service: Service) -> None:
    answered = service.ask(COVERAGE, ("order", order()), ("order", order("o2", "A9999")))
    assert len(bundles(answered)) == 1
    [(severity, _, text)] = issues(answered)
    assert severity == "information" and text.startswith("DeviceRequest/o2: ")


@pytest.mark.parametrize("kind", ["Appointment", "Encounter", "SupplyRequest"])
def test_an_order_of_a_kind_that_no_policy_speaks_of_has_no_questionnaire(kind: str, service: Service) -> None:
    answered = service.ask(COVERAGE, ("order", {"resourceType": kind, "id": "x"}))
    assert bundles(answered) == [] and f"No policy speaks of {kind}/x." in issues(answered)[0][2]


def test_a_questionnaire_can_be_asked_for_by_its_canonical(service: Service) -> None:
    [package] = bundles(service.ask(COVERAGE, ("questionnaire", URL)))
    assert draft(package)["questionnaire"] == CANONICAL


def test_a_coverage_sent_twice_is_one(service: Service) -> None:
    [package] = bundles(service.ask(COVERAGE, COVERAGE, ("order", order())))
    assert draft(package)["subject"] == {"reference": "Patient/p1"}


def test_the_payor_may_stand_in_the_coverage_or_beside_it(service: Service) -> None:
    acme = {"resourceType": "Organization", "id": "acme", "name": "Acme Health"}
    inside = coverage(payor={"reference": "#acme"}, contained=[acme])
    beside = coverage(payor={"reference": "Organization/acme"})
    assert bundles(service.ask(("coverage", inside), ("questionnaire", URL)))
    assert bundles(service.ask(("coverage", beside), ("referenced", acme), ("order", order())))


def test_the_operation_is_also_where_the_narrative_of_the_guide_writes_it(service: Service) -> None:
    assert bundles(service.ask(COVERAGE, ("questionnaire", URL), path="/fhir/$questionnaire-package"))


# -- the version of the guide -----------------------------------------------------------------------------

OUTPUT = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/dtr-qpackage-output-parameters"
INPUT = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/dtr-qpackage-input-parameters"


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({}, "packagebundle"),
        ({"path": f"{PATH}?dtr-version=2.0.1"}, "PackageBundle"),
        ({"path": f"{PATH}?dtr-version=2.1"}, "PackageBundle"),
        ({"path": f"{PATH}?dtr-version=inferno-2.0.1"}, "PackageBundle"),
        ({"profile": f"{INPUT}|2.0.1"}, "PackageBundle"),
        ({"profile": f"{INPUT}|2.2.0"}, "packagebundle"),
        ({"profile": INPUT}, "packagebundle"),
        ({"Accept": f'application/fhir+json; profile="{OUTPUT}|2.1.0"'}, "PackageBundle"),
        ({"Accept": f'application/fhir+json; profile="{OUTPUT}|2.2.0"', "profile": f"{INPUT}|2.0.1"}, "packagebundle"),
        ({"path": f"{PATH}?dtr-version=2.2", "profile": f"{INPUT}|2.0.1"}, "packagebundle"),
    ],
)
def test_the_version_is_that_of_the_query_the_accept_header_or_the_profile(
    asked: dict[str, str], name: str, service: Service
) -> None:
    answered = service.ask(COVERAGE, ("questionnaire", URL), **asked)  # type: ignore[arg-type]
    assert [one["name"] for one in answered["parameter"]] == [name]


def test_what_says_nothing_is_answered_in_the_version_of_the_deployment(tmp_path: Path) -> None:
    older = Service(tmp_path, CDS_DEFAULT_CRD_VERSION="2.0.1")
    assert bundles(older.ask(COVERAGE, ("questionnaire", URL)), "PackageBundle")


def test_a_version_that_nobody_knows_is_told_which_there_are(service: Service) -> None:
    status, text = service.refuse(COVERAGE, ("questionnaire", URL), path=f"{PATH}?dtr-version=9")
    assert status == 422 and "2.0, 2.1, 2.2" in text


# -- what is refused --------------------------------------------------------------------------------------


def test_a_context_that_is_not_known_is_an_error(service: Service) -> None:
    status, text = service.refuse(COVERAGE, ("context", "made-up"))
    assert status == 404 and "nothing is kept under this context" in text


def test_a_context_is_gone_after_its_days(tmp_path: Path) -> None:
    service = Service(tmp_path, CDS_DTR_CONTEXT_DAYS="2")
    [signed] = service.sign()
    service.moment += timedelta(days=2)
    assert bundles(service.ask(("context", assertion(signed))))
    service.moment += timedelta(seconds=1)
    assert service.refuse(("context", assertion(signed)))[0] == 404


def test_a_deployment_that_keeps_none_says_what_to_send_instead(tmp_path: Path) -> None:
    service = Service(tmp_path, CDS_DTR_CONTEXT_DAYS="0")
    [signed] = service.sign()
    status, text = service.refuse(("context", assertion(signed)))
    assert status == 404 and "the order and its coverage instead" in text
    assert bundles(service.ask(COVERAGE, ("order", signed)))


def test_an_id_copied_to_another_patients_order_opens_nothing(service: Service) -> None:
    [signed] = service.sign()
    other = {**signed, "subject": {"reference": "Patient/p2"}}
    theirs = coverage("c2", beneficiary={"reference": "Patient/p2"})
    status, _ = service.refuse(("coverage", theirs), ("context", assertion(signed)))
    assert status == 400
    answered = service.client.post(PATH, json=parameters(("coverage", theirs), ("order", other)))
    assert "86 %" not in answered.text


def test_while_the_store_cannot_be_read_a_context_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file, not a folder")
    service = Service(tmp_path)
    status, text = service.refuse(("context", "id-1"))
    assert status == 503 and "try again" in text
    assert bundles(service.ask(COVERAGE, ("order", order())))


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (coverage(payor={"display": "Nobody's Insurance"}), "not served here"),
        (coverage(payor={"reference": "Organization/7"}), "could not be read"),
        (coverage(status="draft"), "is a draft"),
    ],
)
def test_a_coverage_that_is_not_known_is_an_error(sent: dict[str, Any], words: str, service: Service) -> None:
    for asked in (("order", order()), ("questionnaire", URL)):
        status, text = service.refuse(("coverage", sent), asked)
        assert status == 400 and words in text and "prefetch" not in text


def test_an_order_without_an_id_is_told_to_have_one(service: Service) -> None:
    nameless = {name: value for name, value in order().items() if name != "id"}
    status, text = service.refuse(COVERAGE, ("order", nameless))
    assert status == 400 and text.startswith("parameter[1].resource.id: missing")


def test_two_orders_under_one_id_are_refused(service: Service) -> None:
    assert service.refuse(COVERAGE, ("order", order()), ("order", order()))[0] == 400


def test_a_coverage_that_says_nobody_s_name_is_refused(service: Service) -> None:
    nobodys = {name: value for name, value in coverage().items() if name != "beneficiary"}
    status, _ = service.refuse(("coverage", nobodys), ("questionnaire", URL))
    assert status == 400


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b'{"resourceType":"Parameters","parameter":7}', b"\xff"])
def test_a_body_that_is_no_input_is_told_what_to_send(body: bytes, service: Service) -> None:
    response = service.client.post(PATH, data=body)
    assert (response.status_code, response.json["resourceType"]) == (400, "OperationOutcome")


def test_a_body_that_is_too_large_is_413(tmp_path: Path) -> None:
    service = Service(tmp_path, CDS_MAX_BODY="1024")
    assert service.client.post(PATH, data=b"x" * 2000).status_code == 413


def test_the_operation_is_called_by_post(service: Service) -> None:
    assert service.client.get(PATH).status_code in (404, 405)
    assert service.client.get("/fhir/$questionnaire-package").status_code in (404, 405)


def test_an_adaptive_form_comes_without_its_questions_and_says_where_to_ask(service: Service) -> None:
    [signed] = service.sign()
    [package] = bundles(service.ask(COVERAGE, ("context", assertion(signed)), path=f"{PATH}?form=adaptive"))
    form, response = (one["resource"] for one in package["entry"])
    [where] = [one["valueUrl"] for one in form["extension"] if one["url"].endswith("questionnaireAdaptive")]
    assert where == f"https://cds.example.org/fhir/contexts/{assertion(signed)}"
    assert "item" not in form and "item" not in response
    asked = service.client.post(f"{where.removeprefix('https://cds.example.org')}/Questionnaire/$next-question",
                                json=response)  # fmt: skip
    assert asked.status_code == 200 and asked.json["contained"], asked.text


def test_an_adaptive_form_of_an_order_that_left_no_context_names_none(service: Service) -> None:
    [package] = bundles(service.ask(COVERAGE, ("order", order()), path=f"{PATH}?form=adaptive"))
    form = package["entry"][0]["resource"]
    assert [one["valueUrl"] for one in form["extension"]] == ["https://cds.example.org/fhir"]


def test_a_kind_of_form_that_nobody_knows_is_refused(service: Service) -> None:
    assert service.refuse(COVERAGE, ("questionnaire", URL), path=f"{PATH}?form=paper")[0] == 400


# -- ids that a caller made -------------------------------------------------------------------------------


@pytest.mark.parametrize("identity", ["1", "a-b-c", "00000000-0000-1000-8000-000000000001"])
def test_an_id_that_a_caller_made_stays_on_the_order_and_opens_no_chart(identity: str, service: Service) -> None:
    made = [
        {"url": "coverage-assertion-id", "valueString": identity},
        {"url": "coverage", "valueReference": {"reference": "Coverage/c1"}},
    ]
    [signed] = service.sign(order(extension=[{"url": INFORMATION, "extension": made}]))
    service.sign(signed)  # known by now
    assert assertion(signed) == identity
    status, text = service.refuse(("context", identity))
    assert status == 404 and "86" not in text
    # with the order the form comes all the same, from what the call carries
    answered = service.ask(COVERAGE, ("order", signed))
    assert bundles(answered) and "86 %" not in json.dumps(answered)


def test_an_id_of_ours_that_is_not_known_here_keeps_nothing(service: Service) -> None:
    unknown = "11111111-1111-4111-8111-111111111111"
    made = [
        {"url": "coverage-assertion-id", "valueString": unknown},
        {"url": "coverage", "valueReference": {"reference": "Coverage/c1"}},
    ]
    service.sign(order(extension=[{"url": INFORMATION, "extension": made}]))
    assert service.refuse(("context", unknown))[0] == 404


# -- whose order it is ------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", [{"identifier": {"system": "urn:mrn", "value": "2"}}, {"reference": "#p"}])
def test_beside_a_context_an_order_says_by_a_reference_whose_it_is(subject: Any, service: Service) -> None:
    [signed] = service.sign()
    status, text = service.refuse(("context", assertion(signed)), ("order", {**signed, "subject": subject}))
    assert status == 400 and "subject" in text and "Patient/p1" in text


def test_the_same_id_on_another_server_is_another_patient(tmp_path: Path) -> None:
    service = Service(tmp_path)
    [signed] = service.sign(fhir_server="https://ehr.example.org/fhir")
    for other, wanted in (("https://other.example.org/fhir", 400), ("https://ehr.example.org/fhir", 200)):
        theirs = {**signed, "subject": {"reference": f"{other}/Patient/p1"}}
        for given in ((("context", assertion(signed)), ("order", theirs)), (COVERAGE, ("order", theirs))):
            reply = service.client.post(PATH, json=parameters(*given))
            assert reply.status_code == wanted, reply.text


def test_while_the_store_cannot_be_read_the_outcome_says_that_drafts_say_less(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file, not a folder")
    service = Service(tmp_path)
    [signed] = service.sign()
    answered = service.ask(COVERAGE, ("order", signed))
    assert bundles(answered)
    assert any("cannot be read now" in text for _, _, text in issues(answered))
