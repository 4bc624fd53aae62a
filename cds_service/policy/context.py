"""What is kept of an answer that named a questionnaire, so that the form can be filled from what was looked at then.

Pure; plain values. DTR calls the id that it is asked for by the `context`: CRD's coverage-assertion-id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Context:
    """One policy's look at one order under one coverage. `situation` is as `situation_json.kept` makes it; beside it
    stands what the chart's own responses answered (crd/chart_answers.py)."""

    id: str  # the coverage-assertion-id that went out
    policy: str  # url|version
    questionnaire: str  # url|version
    patient: str  # a digest, as with all that is kept
    subject: str  # the patient as the EHR refers to it: Patient/p1
    coverage: Mapping[str, Any]  # a Reference, as the EHR knows the Coverage
    situation: Mapping[str, Any]
    made_at: datetime  # the instant of the call
