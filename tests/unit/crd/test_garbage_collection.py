"""An answer leaves nothing that only the garbage collector could take away: memory is reused while it is warm."""

from __future__ import annotations

import gc
from datetime import datetime
from itertools import count
from pathlib import Path

import pytest

from cds_service.crd.answer import answer, render
from cds_service.crd.hook_request import parse_hook_request
from cds_service.fhir.problem import Problem
from tests.policy_cases import loaded

ROOT = Path(__file__).parents[3]
CALL = ROOT / "tests" / "conversations" / "home-oxygen-order-sign" / "request.json"


def test_an_answer_makes_no_circles(pytestconfig: pytest.Config) -> None:
    _, catalogue = loaded(pytestconfig, ROOT / "plans")
    body, ids = CALL.read_bytes(), count()

    def once() -> None:
        request = parse_hook_request(body, "order-sign")
        assert not isinstance(request, Problem)
        at = datetime.fromisoformat("2026-11-21T12:00:00-05:00")
        response = answer(request, catalogue, at, lambda: str(next(ids)), str)
        assert not isinstance(response, Problem)
        render(response)

    once()  # what is cached is cached
    gc.collect()
    gc.disable()
    try:
        once()
        assert gc.collect() == 0
    finally:
        gc.enable()
