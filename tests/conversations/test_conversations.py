"""Whole conversations: what an EHR posts, and what it is answered, to the letter.

Each folder is a conversation in words, with `request.json` and `response.json`. A golden changes with a reason: with
CDS_TEST_RECORD set the responses are written anew, and the tests fail, so that somebody looks at the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.conversations.golden_json import read, written
from tests.golden_service import golden_service

HERE = Path(__file__).parent
CONVERSATIONS = sorted(path.parent.name for path in HERE.glob("*/request.json"))
STATUS = {
    "no-coverage": 400,
    "coverage-look-up-failed": 412,
    "payer-not-served": 400,
    "date-that-does-not-exist": 400,
    "version-of-crd-that-nobody-knows": 422,
    "order-dispatch-without-its-order": 412,
}


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    return golden_service(tmp_path)


def test_there_are_conversations() -> None:
    assert len(CONVERSATIONS) > len(STATUS)
    assert set(STATUS) <= set(CONVERSATIONS)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_goes_as_it_is_written_down(name: str, client: FlaskClient) -> None:
    request, golden = HERE / name / "request.json", HERE / name / "response.json"
    hook = read(request.read_bytes())["hook"]
    response = client.post(f"/cds-services/{hook}-crd", data=request.read_bytes())
    said = written(read(response.data)) + "\n"
    assert response.status_code == STATUS.get(name, 200), said
    if "CDS_TEST_RECORD" in os.environ:
        golden.write_text(said, encoding="utf-8")
        pytest.fail(f"{name}: written anew; look at the difference, and say in a changelog fragment why")
    assert said == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_request_is_written_as_the_goldens_are(name: str) -> None:
    text = (HERE / name / "request.json").read_text(encoding="utf-8")
    assert text == written(read(text)) + "\n"
