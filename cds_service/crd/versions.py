"""What differs between CRD 2.0, 2.1 and 2.2 in what is sent: one table. Judges nothing; reads no request.

A line of it is one version of the guide. Whoever writes an answer asks the version, and never compares its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

CRD_CODES = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"


@dataclass(frozen=True, slots=True)
class CrdVersion:
    """How one version of the guide writes what is said of an order, and cards.

    Most fields are about coverage-information and are named after its parts. What a version has no code for is said
    in a reason; what it cannot say at all is left out.
    """

    name: str
    card_types: str  # system of Card.source.topic
    plain_associated_resource: bool  # the extension of a card: strings, not References
    indeterminate: bool  # a code for "nothing is decided"; without it `conditional` stands there
    # crd-ci-q2 as it is written: true only with pa-needed (2.0.1); never beside not-covered (2.1, 2.2)
    pa_needed_always: bool
    doc_needed_together: str | None  # where doc-needed is 0..1: the one code for clinical and admin at once
    purposes_kept_back: frozenset[str]  # codes of doc-purpose that validators stumble over
    detail_code_asked: bool  # info-needed has `detail-code`; without it OTH, and `detail-code` is a reason
    reason_codes: frozenset[str]
    reason_phrases: Mapping[str, str]  # the version's own words for what another has a reason code for
    detail_codes: str  # system of detail.code
    detail_category: bool
    detail_url: bool  # detail.value may be a url
    contact: Literal["ContactPoint", "ContactDetail"]
    expiry_date: bool
    says_what_follows_a_form: bool = False  # a Task of form completion says what its answers are for


_FIRST_REASONS = frozenset({"gold-card", "detail-code"})
# CRD 2.1, Coverage Information: what a member or coverage that cannot be resolved is called
_PHRASES = {
    "no-member-found": "Member Not Found",
    "no-active-coverage": "No Active Coverage",
    "coverage-not-found": "No Active Coverage",
}

CRD_20 = CrdVersion(
    name="2.0",
    card_types=CRD_CODES,
    plain_associated_resource=True,
    indeterminate=False,
    pa_needed_always=True,
    doc_needed_together="both",
    purposes_kept_back=frozenset(),
    detail_code_asked=False,
    reason_codes=_FIRST_REASONS,
    reason_phrases=_PHRASES,
    detail_codes=CRD_CODES,
    detail_category=False,
    detail_url=False,
    contact="ContactPoint",
    expiry_date=False,
    says_what_follows_a_form=True,
)
CRD_21 = CrdVersion(
    name="2.1",
    card_types=CRD_CODES,
    plain_associated_resource=False,
    indeterminate=False,
    pa_needed_always=False,
    doc_needed_together=None,
    # crd-ci-q4 as it is written yields nothing, not true, for withpa: some validators take that for an error
    purposes_kept_back=frozenset({"withpa"}),
    detail_code_asked=False,
    reason_codes=_FIRST_REASONS,
    reason_phrases=_PHRASES,
    detail_codes=CRD_CODES,
    detail_category=False,
    detail_url=True,
    contact="ContactPoint",
    expiry_date=True,
)
CRD_22 = CrdVersion(
    name="2.2",
    card_types="http://terminology.hl7.org/CodeSystem/cdshooks-card-type",
    plain_associated_resource=False,
    indeterminate=True,
    pa_needed_always=False,
    doc_needed_together=None,
    purposes_kept_back=frozenset({"withpa"}),
    detail_code_asked=True,
    reason_codes=frozenset(
        {
            "gold-card",
            "no-member-found",
            "no-active-coverage",
            "coverage-not-found",
            "auth-out-network",
            "technical",
        }
    ),
    reason_phrases={},
    detail_codes="http://terminology.hl7.org/CodeSystem/crd-coverage-detail",
    detail_category=True,
    detail_url=True,
    contact="ContactDetail",
    expiry_date=True,
)

# Oldest first: what discovery lists
VERSIONS = (CRD_20, CRD_21, CRD_22)
NEWEST = CRD_22

_SPELLINGS = (
    (re.compile(r"2\.0(\.1)?"), CRD_20),
    (re.compile(r"2\.1(\.0)?"), CRD_21),
    (re.compile(r"2\.2(\.\d{1,4})?"), CRD_22),
)


def version_named(text: str) -> CrdVersion | None:
    """The version that a text names, with or without its patch number (`2.0.1`, `2.2`); None: not one served here."""
    return next((version for spelling, version in _SPELLINGS if spelling.fullmatch(text)), None)
