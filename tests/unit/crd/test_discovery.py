"""What is announced: one service for each hook, what it can return, and in which versions."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.crd.discovery import discovery
from cds_service.crd.hooks import HOOKS
from cds_service.crd.versions import version_named
from tests.fakes import FakeCatalogue

SERVICES = discovery(FakeCatalogue())["services"]
each_service = pytest.mark.parametrize("service", SERVICES, ids=[one["id"] for one in SERVICES])


def _options(service: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["code"]: one for one in service["extension"]["davinci-crd.configuration-options"]}


def test_each_hook_of_crd_has_one_service() -> None:
    assert {one["hook"]: one["id"] for one in SERVICES} == {
        "order-sign": "order-sign-crd",
        "order-select": "order-select-crd",
        "order-dispatch": "order-dispatch-crd",
        "appointment-book": "appointment-book-crd",
        "encounter-start": "encounter-start-crd",
        "encounter-discharge": "encounter-discharge-crd",
    }


@each_service
def test_a_service_says_what_it_is_for(service: dict[str, Any]) -> None:
    assert service["title"]
    assert service["description"]
    assert service["prefetch"]


@each_service
def test_a_service_says_which_versions_of_crd_it_renders(service: dict[str, Any]) -> None:
    assert service["extension"]["davinci-crd.version"] == ["2.0", "2.1", "2.2"]
    assert all(version_named(one) for one in service["extension"]["davinci-crd.version"])


@each_service
def test_each_kind_of_answer_can_be_switched_off(service: dict[str, Any]) -> None:
    options, hook = _options(service), HOOKS[service["hook"]]
    kinds = {*hook.cards, *(("coverage-info", "unsolicited-determ") if hook.writes else ())}
    assert set(options) == {*kinds, "max-cards"}
    assert all(set(one) == {"code", "type", "name", "description", "default"} for one in options.values())
    assert all(options[kind]["type"] == "boolean" for kind in kinds)
    # a link into our own app comes only to who asks for it
    assert {kind for kind in kinds if not options[kind]["default"]} == kinds & {"dtr-card"}
    assert (options["max-cards"]["type"], options["max-cards"]["default"]) == ("integer", 10)
    for member in ("name", "description"):
        assert len({one[member] for one in options.values()}) == len(options)


def test_what_is_owed_on_a_primary_hook_can_be_switched_off_there() -> None:
    for service in SERVICES:
        assert ("coverage-info" in _options(service)) == HOOKS[service["hook"]].writes
    assert all(HOOKS[one].writes for one in ("order-sign", "order-dispatch", "appointment-book"))
