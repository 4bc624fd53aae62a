"""The list of statements, the marks of the tests and docs/conformance.md say the same."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.conformance.statements import PAGE, ROOT, holders, page, statements


def test_each_statement_is_listed_once() -> None:
    twice = [one for one, count in Counter(one.id for one in statements()).items() if count > 1]
    assert twice == []


def test_a_statement_is_held_by_a_test_or_says_why_not() -> None:
    held = {one for holder in holders() for one in holder.ids}
    for one in statements():
        reasons = [reason for reason in (one.departs, one.not_applicable, one.not_yet) if reason]
        # where we depart from a statement, a test may show what is done instead
        tested = (one.id in held or one.held_by != ()) and one.departs is None
        assert len(reasons) + tested == 1, f"{one.id}: a test, or one reason why there is none"
        assert one.note is None or one.id in held or one.held_by, f"{one.id}: a note goes with tests"


def test_a_test_outside_this_folder_is_there_under_the_name_that_is_given() -> None:
    named = [(one.id, *held.split("::")) for one in statements() for held in one.held_by]
    assert named
    for statement, path, name in named:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert f"def {name}(" in text or f'test("{name}"' in text, f"{statement}: no {name} in {path}"


def test_a_mark_names_a_statement_that_is_listed() -> None:
    listed = {one.id for one in statements()}
    for holder in holders():
        assert set(holder.ids) <= listed, f"{holder.module}: {holder.name}"


def test_every_requirement_on_servers_that_crd_publishes_is_listed(fhir_folder: Path) -> None:
    document = json.loads((fhir_folder / "davinci-crd-2.2.1-Requirements-fromNarrative.json").read_bytes())
    binding = set()
    for one in document["statement"]:
        actors = [each["valueId"] for each in one["extension"] if each["url"].endswith("requirements-statementactor")]
        if not actors or any(actor.startswith("crd-server") for actor in actors):
            binding.add(one["key"])
    assert len(binding) > 100
    assert binding <= {one.id for one in statements()}


@pytest.mark.docs
def test_the_page_says_what_the_tests_say() -> None:
    now = page()
    if "CDS_TEST_RECORD" in os.environ:
        PAGE.write_text(now, encoding="utf-8")
        pytest.fail("docs/conformance.md is written anew; look at the difference")
    stale = "docs/conformance.md is stale: run this test with CDS_TEST_RECORD=1 and look at the difference"
    assert PAGE.read_text(encoding="utf-8") == now, stale
