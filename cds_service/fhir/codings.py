"""Codings -> comparable keys: one URI per code system, one spelling per code. Knows no value set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeAlias

CodingKey: TypeAlias = tuple[str, str]

HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
CPT = "http://www.ama-assn.org/go/cpt"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
NDC = "http://hl7.org/fhir/sid/ndc"
UCUM = "http://unitsofmeasure.org"
NUCC = "http://nucc.org/provider-taxonomy"
POS = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"
SOPT = "https://nahdo.org/sopt"
NPI = "http://hl7.org/fhir/sid/us-npi"
NAIC = "urn:oid:2.16.840.1.113883.6.300"

# Spellings seen in the wild, by the system meant. Compared without scheme, trailing slash and letter case.
_VARIANTS: Mapping[str, tuple[str, ...]] = {
    HCPCS: (
        HCPCS,
        "https://bluebutton.cms.gov/resources/codesystem/hcpcs",
        "http://www.nlm.nih.gov/research/umls/hcpcs",
        "https://www.cms.gov/Medicare/Coding/MedHCPCSGenInfo",
        "https://www.cms.gov/Medicare/Coding/MedHCPCSGenInfo/index.html",
        "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets/Alpha-Numeric-HCPCS",
        "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets/Alpha-Numeric-HCPCS.html",
        "http://terminology.hl7.org/CodeSystem/HCPCS",
        "http://terminology.hl7.org/CodeSystem/HCPCS-all-codes",
        "urn:oid:2.16.840.1.113883.6.285",
    ),
    CPT: (CPT, "urn:oid:2.16.840.1.113883.6.12"),
    ICD10CM: (
        ICD10CM,
        "http://terminology.hl7.org/CodeSystem/icd10CM",
        # The WHO's URI: US charts send ICD-10-CM codes under it.
        "http://hl7.org/fhir/sid/icd-10",
        "http://hl7.org/fhir/sid/icd-10-us",
        "urn:oid:2.16.840.1.113883.6.90",
    ),
    SNOMED: (
        SNOMED,
        "http://snomed.info/sct/731000124108",
        "urn:oid:2.16.840.1.113883.6.96",
        "http://www.ihtsdo.org/snomed-ct",
    ),
    LOINC: (LOINC, "urn:oid:2.16.840.1.113883.6.1"),
    RXNORM: (RXNORM, "urn:oid:2.16.840.1.113883.6.88"),
    NDC: (NDC, "urn:oid:2.16.840.1.113883.6.69"),
    UCUM: (UCUM, "urn:oid:2.16.840.1.113883.6.8"),
    NUCC: (
        NUCC,
        "http://terminology.hl7.org/CodeSystem/v3-nuccProviderCodes",
        "urn:oid:2.16.840.1.113883.6.101",
        "http://www.nucc.org",
    ),
    POS: (POS, "urn:oid:2.16.840.1.113883.15.5"),
    SOPT: (
        SOPT,
        "http://www.phdsc.org/standards/pdfs/SourceofPaymentTypologyVersion6FINALSeptember2015.pdf",
    ),
    NPI: (NPI, "urn:oid:2.16.840.1.113883.4.6"),
    NAIC: (NAIC,),
}

# "hhttps" is a misprint that real senders have copied from one another.
_SCHEME = re.compile(r"^h?https?://", re.IGNORECASE)
# an edition or its version, or a concept's own address, in the place of the system
_SNOMED_ADDRESS = re.compile(r"snomed\.info/(?:sct/\d+(?:/version/\d+)?|id/\d+)", re.ASCII)
# Callers choose what they send: a longer text is no system and no code, and must not fill the memory of a cache.
_LONGEST = 200


def _folded(uri: str) -> str:
    return _SCHEME.sub("", uri.strip()).rstrip("/").lower()


_SYSTEM_OF: Mapping[str, str] = {_folded(uri): system for system, uris in _VARIANTS.items() for uri in uris}


def canonical_system(uri: str) -> str:
    """The URI that HL7 prefers for the code system `uri` names; an unknown URI only loses its `|version`.

    Source: HL7 NamingSystems; the variants are those of VSAC, US Core and the Da Vinci implementations.
    """
    return _canonical_system(uri) if len(uri) <= _LONGEST else uri


@lru_cache(maxsize=4096)
def _canonical_system(uri: str) -> str:
    plain = uri.partition("|")[0].strip()
    folded = _folded(plain)
    known = _SYSTEM_OF.get(folded)
    if known is not None:
        return known
    if _SNOMED_ADDRESS.fullmatch(folded):
        return SNOMED
    return plain


# CPT codes begin with a digit: with a letter first it is a code or modifier of HCPCS Level II under the wrong address
_HCPCS_UNDER_CPT = re.compile(r"[A-Z](?:\d{4}.*|[A-Z0-9])", re.ASCII | re.DOTALL)


def hcpcs_code(coding: Mapping[str, Any]) -> str | None:
    """The code of a Coding that is one of HCPCS Level II, as it is written; None for any other.

    Senders that know one address for procedure codes, CPT's, write HCPCS under it: no code can be of both.
    """
    system, code = coding.get("system"), coding.get("code")
    if not isinstance(system, str) or not isinstance(code, str):
        return None
    known = canonical_system(system)
    if known == HCPCS or (known == CPT and _HCPCS_UNDER_CPT.fullmatch(code.strip().upper())):
        return code
    return None


_HCPCS_CODE = re.compile(r"([A-Z]\d{4}|\d{4}[0-9A-Z])((?:[A-Z0-9]{2})*)", re.ASCII)
_BETWEEN_MODIFIERS = re.compile(r"[\s,:-]+")


def split_hcpcs(code: str) -> tuple[str, tuple[str, ...]]:
    """A HCPCS code as people write it -> the plain code and its modifiers: `e1390-rr` -> (`E1390`, (`RR`,)).

    What does not read as a code with two-character modifiers comes back whole, in upper case.
    """
    upper = code.strip().upper()
    match = _HCPCS_CODE.fullmatch(_BETWEEN_MODIFIERS.sub("", upper))
    if match is None:
        return upper, ()
    glued = match[2]
    return match[1], tuple(glued[start : start + 2] for start in range(0, len(glued), 2))


def _ndc_of_eleven_digits(code: str) -> str:
    """NDC with dashes (4-4-2, 5-3-2, 5-4-1, 5-4-2) -> the 11 digits of 5-4-2; others without dashes."""
    parts = code.split("-")
    if len(parts) == 3 and all(part.isdigit() for part in parts):
        return parts[0].zfill(5) + parts[1].zfill(4) + parts[2].zfill(2)
    return "".join(parts)


@lru_cache(maxsize=16384)
def _key(system: str, code: str) -> CodingKey | None:
    canonical = canonical_system(system)
    spelt = "".join(code.split())
    if not canonical or not spelt:
        return None
    if canonical == UCUM:
        return canonical, spelt  # UCUM is case-sensitive: `s` is a second, `S` a siemens
    spelt = spelt.upper()
    if canonical == CPT and _HCPCS_UNDER_CPT.fullmatch(spelt):
        canonical = HCPCS
    if canonical == ICD10CM:
        spelt = spelt.replace(".", "")
    elif canonical == HCPCS:
        spelt = split_hcpcs(code)[0]
    elif canonical == NDC:
        spelt = _ndc_of_eleven_digits(spelt)
    return canonical, spelt


def coding_key(system: object, code: object) -> CodingKey | None:
    """`Coding.system` and `.code` -> a key that is equal for equal concepts; None where either is missing."""
    if type(system) is not str or type(code) is not str:
        return None
    if len(system) > _LONGEST or len(code) > _LONGEST:
        return _key.__wrapped__(system, code)
    return _key(system, code)


def codings_of(value: object) -> list[dict[str, Any]]:
    """A Coding or a CodeableConcept -> its Codings; anything else -> none."""
    if not isinstance(value, dict):
        return []
    listed = value.get("coding")
    if isinstance(listed, list):
        return [coding for coding in listed if isinstance(coding, dict)]
    if isinstance(value.get("code"), str):
        return [value]
    return []


class KeyedConcept(dict[str, Any]):
    """A CodeableConcept whose coding keys are at hand: for those that are asked about many times."""

    __slots__ = ("coding_keys",)

    coding_keys: tuple[CodingKey, ...]


def keyed(concept: Mapping[str, Any], keys: tuple[CodingKey, ...]) -> KeyedConcept:
    """`concept` with the keys of its codings (or more: those that count as its own)."""
    found = KeyedConcept(concept)
    found.coding_keys = keys
    return found


def keys_of(value: object) -> tuple[CodingKey, ...]:
    """A Coding or a CodeableConcept -> the keys of those Codings that have a system and a code."""
    keys = []
    for coding in codings_of(value):
        key = coding_key(coding.get("system"), coding.get("code"))
        if key is not None:
            keys.append(key)
    return tuple(keys)
