"""When is what is said of an order news beside what it says already."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from cds_service.crd.news import same_news
from tests.unit.crd.test_system_actions import earlier

SAID = earlier("id-1", "Coverage/c1")


def with_part(url: str, **value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(SAID)
    [part] = [one for one in changed["extension"] if one["url"] == url]
    part.clear()
    part.update({"url": url, **value})
    return changed


@pytest.mark.parametrize(
    "kept",
    [
        SAID,
        {**SAID, "extension": SAID["extension"][::-1]},
        {**SAID, "id": "x", "extension": [{**one, "id": one["url"]} for one in SAID["extension"]]},
        with_part("date", valueDate="2026-01-01"),
        with_part("coverage", valueReference={"reference": "https://ehr.example.org/fhir/Coverage/c1"}),
        with_part("coverage", valueReference={"reference": "Coverage/c1", "display": "Acme"}),
    ],
)
def test_what_an_ehr_does_to_an_extension_and_another_day_are_no_news(kept: dict[str, Any]) -> None:
    assert same_news([kept], [SAID])


@pytest.mark.parametrize(
    "before",
    [
        [],
        [SAID, SAID],
        [with_part("covered", valueCode="not-covered")],
        [with_part("coverage", valueReference={"reference": "Coverage/c2"})],
        [with_part("coverage-assertion-id", valueString="id-2")],
        [{**SAID, "extension": [*SAID["extension"], {"url": "pa-needed", "valueCode": "no-auth"}]}],
        [{**SAID, "extension": None}],
        [None],
        [{**SAID, "extension": [None, 7, "x"]}],
    ],
)
def test_anything_else_is_news(before: list[Any]) -> None:
    assert not same_news(before, [SAID])
