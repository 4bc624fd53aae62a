"""A code -> what is wrong with it by its own rules: check digits and shapes. Knows no list of codes and no value set.

A misprint that is still a code of the system is found only by comparing with a list (icd10cm.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from cds_service.fhir.codings import HCPCS, ICD10CM, LOINC, NDC, NUCC, POS, RXNORM, SNOMED

# RegEx per system: what a code of it looks like, and that in words
_SHAPES: Mapping[str, tuple[str, str]] = {
    # five digits would be CPT, which is not shipped; two characters are a modifier
    HCPCS: (r"[A-V]\d{4}|[A-Z][A-Z0-9]", "a letter and four digits, or a modifier of two characters"),
    ICD10CM: (r"[A-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?", "a letter, a digit, a character, and up to four behind a dot"),
    LOINC: (r"\d{1,7}-\d", "up to seven digits, a hyphen and the check digit"),
    SNOMED: (r"[1-9]\d{5,17}", "6 to 18 digits"),
    NUCC: (r"[0-9A-Z]{9}X", "nine characters and an X"),
    RXNORM: (r"[1-9]\d{0,7}", "up to eight digits"),
    NDC: (r"\d{11}|\d{5}-\d{4}-\d{1,2}|\d{5}-\d{3}-\d{2}|\d{4}-\d{4}-\d{2}", "ten digits with hyphens, or eleven"),
    POS: (r"\d{2}", "two digits"),
}


def fault_of(system: str, code: str) -> str | None:
    """What is wrong with a code of a system (by its canonical URI) whose rules are known; None where nothing is."""
    shape = _SHAPES.get(system)
    if shape is None:
        return None
    pattern, words = shape
    if re.fullmatch(pattern, code, re.ASCII) is None:
        return f"does not look like a code of {system}: {words}"
    check = _CHECKS.get(system)
    return check(code) if check is not None else None


def _loinc(code: str) -> str | None:
    # LOINC Users' Guide, check digit: mod 10
    number, digit = code.split("-")
    total = 0
    for place, one in enumerate(reversed(number)):
        doubled = int(one) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    wanted = -total % 10
    return None if wanted == int(digit) else f"the check digit is {digit}, and would be {wanted}: a misprint"


# SNOMED CT Technical Implementation Guide, check-digit: Verhoeff's dihedral scheme
_PRODUCT = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PERMUTED = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def _snomed(code: str) -> str | None:
    # the two digits before the last say what is named: 0 is a concept, 1 a description, 2 a relationship; before it,
    # 0 is of the international release and 1 of an extension
    if code[-3:-1] not in ("00", "10"):
        return "does not name a concept: a description or a relationship"
    if code[-3] == "1" and len(code) < 11:
        return "says that it is of an extension, but has no room for its namespace"
    state = 0
    for place, one in enumerate(reversed(code)):
        state = int(_PRODUCT[state][int(_PERMUTED[place % 8][int(one)])])
    return None if state == 0 else "the check digit is wrong: a misprint"


_CHECKS: Mapping[str, Callable[[str], str | None]] = {LOINC: _loinc, SNOMED: _snomed}
