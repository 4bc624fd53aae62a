"""What differs between DTR 2.0.1, 2.1 and 2.2 in what is sent: one table. Judges nothing; reads no request.

A line of it is one version of the guide. Whoever writes an answer asks the dialect, and never compares its name.
Versions contradict themselves in places (a profile and its operation name a parameter differently): the profile is
followed, for it is what validators hold an answer against.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from cds_service.fhir.problem import Problem

DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/"
STANDARD_QUESTIONNAIRE = f"{DTR}dtr-std-questionnaire"
QUESTIONNAIRE_RESPONSE = f"{DTR}dtr-questionnaireresponse"
ADAPTIVE_RESPONSE = f"{DTR}dtr-questionnaireresponse-adapt"
PACKAGE_BUNDLE = f"{DTR}DTR-QPackageBundle"
PACKAGE_OUTPUT = f"{DTR}dtr-qpackage-output-parameters"
INFORMATION_ORIGIN = f"{DTR}information-origin"
INTENDED_USE = f"{DTR}intendedUse"
QR_CONTEXT = f"{DTR}qr-context"
QR_COVERAGE = f"{DTR}qr-coverage"

_CRD = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/"


@dataclass(frozen=True, slots=True)
class Populating:
    """In which language a form says how a client fills it."""

    language: str
    qualified: bool = False  # an expression names its library: `"Library".Name`
    alternative: str | None = None  # the extension that has the same as ELM


# CQL inline, accompanied by ELM (DTR 2.0.1 borrows the extension of another guide)
_INLINE_20 = Populating(
    "text/cql", True, "http://hl7.org/fhir/us/ecr/StructureDefinition/us-ph-alternative-expression-extension"
)
_INLINE_21 = Populating("text/cql", True, f"{DTR}alternativeExpression")
_BY_NAME = Populating("text/cql-identifier")  # DTR 2.2, spec-86
_FHIRPATH = Populating("text/fhirpath")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one version of the guide writes a package, what is in it, and adaptive forms."""

    name: str
    package_parameter: str  # the name under which each Bundle stands
    outcome_parameter: str
    origin: str  # information-origin of what we filled in
    coverage_extension: str  # where a response names its coverage
    purposes: str  # the code system of intendedUse
    items_required: bool  # a response has at least one item
    pinned_libraries: bool  # cqf-library is `url|version`
    populating: Populating
    # adaptive forms
    enable_when: bool  # items may hang on earlier answers
    address_of_type: bool  # the client appends only /$next-question to the address that the form gives
    information: bool  # a completed response may bear coverage-information


DTR_20 = Dialect(
    name="2.0",
    package_parameter="PackageBundle",
    outcome_parameter="operationOutcome",
    origin="auto",
    coverage_extension=QR_CONTEXT,
    purposes=f"{_CRD}temp",
    items_required=True,
    pinned_libraries=True,
    populating=_INLINE_20,
    enable_when=False,
    address_of_type=True,
    information=False,
)
DTR_21 = replace(DTR_20, name="2.1", populating=_INLINE_21, address_of_type=False, information=True)
DTR_22 = Dialect(
    name="2.2",
    package_parameter="packagebundle",
    outcome_parameter="outcome",
    origin="auto-server",
    coverage_extension=QR_COVERAGE,
    purposes=f"{_CRD}coverage-information-codes",
    items_required=False,
    pinned_libraries=True,
    populating=_BY_NAME,
    enable_when=True,
    address_of_type=False,
    information=True,
)
# The same for clients that run FHIRPath and no CQL, as most renderers of forms do
DTR_22_FHIRPATH = replace(DTR_22, name="2.2-fhirpath", populating=_FHIRPATH)
# As the Inferno payer suite 0.17 (DTR 2.0.1) reads an answer: it compares a cqf-library with the bare Library.url
INFERNO_20 = replace(DTR_20, name="inferno-2.0.1", pinned_libraries=False)

# where a caller's address says which of them
VERSION_PARAMETER = "dtr-version"
DIALECTS = (DTR_20, DTR_21, DTR_22, DTR_22_FHIRPATH, INFERNO_20)
_SPELLINGS = (
    (re.compile(r"2\.0(\.1)?"), DTR_20),
    (re.compile(r"2\.1(\.0)?"), DTR_21),
    (re.compile(r"2\.2(\.\d{1,4})?"), DTR_22),
    (re.compile(r"2\.2(\.\d{1,4})?-fhirpath"), DTR_22_FHIRPATH),
    (re.compile(r"inferno-2\.0\.1"), INFERNO_20),
)


def dialect_named(text: str) -> Dialect | None:
    """The dialect that a text names, with or without its patch number; None: not one spoken here."""
    return next((dialect for spelling, dialect in _SPELLINGS if spelling.fullmatch(text.strip())), None)


def not_spoken() -> Problem:
    """What is said to a caller who names a version that is none of these."""
    fix = f"ask for one of {', '.join(one.name for one in DIALECTS)}"
    return Problem("not-supported", VERSION_PARAMETER, "not a version of DTR that is answered in here", fix)


_PROFILE = re.compile(r"http://hl7\.org/fhir/us/davinci-dtr/[^|\s\"']+\|([A-Za-z0-9.\-]{1,20})")


def dialect_of_profile(text: str) -> Dialect | None:
    """The dialect of the DTR profile, with its version, that a text (a canonical, an Accept header) holds."""
    match = _PROFILE.search(text)
    return dialect_named(match[1]) if match else None
