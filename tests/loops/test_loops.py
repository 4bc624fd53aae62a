"""Loops to the letter: order-sign, the finished questionnaire, order-sign again; docs/dtr.md walks through one.

Each folder is a loop in words. Its steps are requests, in the order of their names; the first is a conversation's.
With CDS_TEST_RECORD set requests and responses are written anew, and the tests fail, so that somebody looks.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.conversations.golden_json import read, written
from tests.golden_service import golden_service
from tests.questionnaire_answers import completed

HERE = Path(__file__).parent
LOOP = HERE / "home-oxygen-answered"
FIRST = HERE.parent / "conversations" / "home-oxygen-order-sign"
FORM = HERE.parent.parent / "plans" / "masshealth" / "home-oxygen" / "2024-06-01" / "Questionnaire.json"
HOOK = "/cds-services/order-sign-crd"
INFORMATION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
CONTEXT = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/qr-context"
# what the chart shows already is left as it is there: only what was open is answered
SAID = {"ma-oxygen.room-air-contraindicated": "N", "ask.skilled-nursing-facility": "N"}


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    return golden_service(tmp_path)


def test_a_loop_goes_as_it_is_written_down(client: FlaskClient) -> None:
    signed = client.post(HOOK, data=(FIRST / "request.json").read_bytes())
    context, order = _said(signed.json)
    answers = _golden("answers.request", _answers(signed.json))
    sent = client.post(f"/fhir/QuestionnaireResponse?context={context}", data=json.dumps(answers).encode())
    assert sent.status_code == 201, sent.text
    came = read(sent.data)
    for one in came["parameter"]:
        if "valueString" in one:
            one["valueString"] = read(one["valueString"])  # to be read by people, and compared all the same
    _golden("answers.response", came)
    again = json.loads((FIRST / "request.json").read_text(encoding="utf-8"))
    again["context"]["draftOrders"]["entry"][0]["resource"] = order
    _golden("order-sign-again.response", read(client.post(HOOK, json=again).data))
    if "CDS_TEST_RECORD" in os.environ:
        pytest.fail("written anew; look at the difference, and say in a changelog fragment why")


@pytest.mark.docs
def test_the_page_quotes_what_the_loop_says() -> None:
    page = (HERE.parent.parent / "docs" / "dtr.md").read_text(encoding="utf-8")
    steps = (FIRST / "response.json", *sorted(LOOP.glob("*.json")))
    said = " ".join(path.read_text(encoding="utf-8") for path in steps)
    quoted = (
        "Home oxygen (E1390): prior authorization needed; 1 of 4 criteria open",
        "The clinician answered yes on 2026-11-21: Tested in a chronic stable state (no acute illness or exacerbation)",
        "00000000-0000-4000-8000-000000000001",
        "answered yes on 2026-11-21",
        "4 of 4 criteria met",
        "QuestionnaireResponse/answers-1",
        "masshealth-home-oxygen|2024-06-01",
    )
    assert all(one in page and one in said for one in quoted)


def _said(answer: Any) -> tuple[str, dict[str, Any]]:
    order = answer["systemActions"][0]["resource"]
    [said] = [one for one in order["extension"] if one["url"] == INFORMATION]
    [context] = [one["valueString"] for one in said["extension"] if one["url"] == "coverage-assertion-id"]
    return context, order


def _answers(answer: Any) -> dict[str, Any]:
    """The questions that the answer left open, answered yes; what the form wants beside; and nothing else."""
    form = json.loads(FORM.read_text(encoding="utf-8"))
    [determination] = [
        one for card in answer["cards"] for one in card.get("extension", {}).get("cds-service.determinations", ())
    ]
    wanted = {one["question"] for one in determination["criteria"] if "question" in one} | set(SAID)
    skipped = {name: "-" for name in _choices(form["item"]) if name not in wanted and name != "form.attestation"}
    about = [{"url": CONTEXT, "valueReference": {"reference": one}} for one in ("DeviceRequest/o1", "Coverage/c1")]
    return completed(
        form, "Patient/p1", "2026-11-21T10:20:00-05:00", {**skipped, **SAID}, id="answers-1", extension=about
    )


def _choices(items: Any) -> list[str]:
    found = []
    for one in items:
        if one["type"] in ("choice", "attachment"):
            found.append(one["linkId"])
        found += _choices(one.get("item", ()))
    return found


def _golden(name: str, said: Any) -> Any:
    path = LOOP / f"{name}.json"
    text = written(said) + "\n"
    if "CDS_TEST_RECORD" in os.environ:
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
    return said
