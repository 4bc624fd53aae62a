"""Every shipped policy as a page, and those pages that are kept here as they are printed, to the letter.

A page changes with its plan: with CDS_TEST_RECORD set the kept pages are written anew, and the tests fail, so that
somebody reads the difference beside the payer's document.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from cds_service.fhir.fhirpath.parse import parse
from cds_service.fhir.fhirpath.syntax import Literal, Node, Variable, walk
from cds_service.pages.page_text import page_json, page_text
from cds_service.pages.policy_page import policy_page
from cds_service.pages.sayings import literal_words
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.facts import CONTEXT
from tests.live_server import run
from tests.policy_cases import loaded

HERE = Path(__file__).parent
PLANS = HERE.parent.parent / "plans"
KEPT = sorted(path.stem for path in HERE.glob("*.txt"))


@pytest.fixture(scope="module")
def catalogue(pytestconfig: pytest.Config) -> Catalogue:
    _, found = loaded(pytestconfig, PLANS)
    return found


def test_there_are_kept_pages() -> None:
    assert KEPT


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_page_is_what_the_command_prints(name: str) -> None:
    shown = run("policy", "show", name, PYTHONIOENCODING="utf-8")
    assert shown.returncode == 0, shown.stderr
    kept = HERE / f"{name}.txt"
    if "CDS_TEST_RECORD" in os.environ:
        kept.write_text(shown.stdout, encoding="utf-8")
        pytest.fail(f"{name}: written anew; read the difference beside the payer's document")
    assert shown.stdout == kept.read_text(encoding="utf-8")


def test_every_policy_can_be_shown_and_every_expression_of_it_is(catalogue: Catalogue) -> None:
    for policy in catalogue.policies:
        page = policy_page(policy, catalogue)
        text = " ".join(page_text(page, every_code=True).split())
        assert json.dumps(page_json(page))
        for name in (*policy.criteria, *policy.exclusions, *policy.documents, *policy.facts):
            assert name in text
        shown = {
            line
            for section in page.sections
            for node, _ in section.walk()
            for detail in node.details
            for line in (detail.expression or "").split("\n")
        }
        conditions = [row.condition for row in policy.rows] + [one.condition for one in policy.advice]
        conditions += [one for each in policy.criteria.values() for one in (each.applicability, each.start)]
        conditions += [one for each in policy.documents.values() for one in (each.applicability, each.start)]
        conditions += [one.condition for one in policy.exclusions.values()]
        written = {one.text for condition in conditions if condition for one in condition.expressions}
        written |= {one.text for fact in policy.facts.values() for one in (fact.expression, fact.where) if one}
        assert written - shown == set()


_STATUS_WORDS = {"not-met": "not met", "not-applicable": "not applicable", "unknown": "not known", "on-file": "on file"}


def missing_from(words: str, node: Node, catalogue: Catalogue) -> list[str]:
    """What an expression names (facts, verdicts, numbers, texts, value sets) and its words do not."""
    missing: list[str] = []
    for one in walk(node):
        if isinstance(one, Variable) and one.name not in CONTEXT:
            said = [one.name]
        elif isinstance(one, Literal) and not isinstance(one.value, bool):
            text = literal_words(one).strip("‘’")
            held = catalogue.value_sets.get(text)
            # an age is said without its unit: "under 21"
            said = [held.title] if held else [re.sub(r" years?$", "", text), _STATUS_WORDS.get(text, text)]
        else:
            continue
        if not any(text in words for text in said):
            missing.append(said[0])
    return missing


def test_words_leave_out_no_fact_number_text_or_value_set_of_their_expression(catalogue: Catalogue) -> None:
    compared = 0
    for policy in catalogue.policies:
        for section in policy_page(policy, catalogue).sections:
            for node, _ in section.walk():
                for detail in node.details:
                    for line in (detail.expression or "").split("\n"):
                        for part in re.sub(r"^(?:counts|window): ", "", line).split(" .. "):
                            if not part or part == "{}" or "aggregate(" in part:
                                continue
                            words = detail.saying.line
                            assert missing_from(words, parse(part), catalogue) == [], (node.id, part, words)
                            compared += 1
    assert compared > 200


def test_most_of_what_policies_say_has_words(catalogue: Catalogue) -> None:
    told, wordless = 0, 0
    for policy in catalogue.policies:
        for section in policy_page(policy, catalogue).sections:
            for node, _ in section.walk():
                told += sum(detail.expression is not None for detail in node.details)
                wordless += sum("«" in detail.saying.line for detail in node.details)
    assert told > 100
    assert wordless * 20 < told
