"""Codes are held against their own rules: a misprint is found without a list of codes."""

from __future__ import annotations

import pytest

from cds_service.fhir.codings import HCPCS, ICD10CM, LOINC, NDC, NUCC, POS, RXNORM, SNOMED
from cds_service.terminology.code_checks import fault_of


@pytest.mark.parametrize(
    ("system", "code"),
    [
        (LOINC, "59408-5"),
        (LOINC, "2708-6"),
        (LOINC, "104074-0"),
        (SNOMED, "13645005"),
        (SNOMED, "252568001"),
        (SNOMED, "1101000119103"),
        (SNOMED, "288581000119102"),
        (HCPCS, "E1390"),
        (HCPCS, "RR"),
        (ICD10CM, "J44.9"),
        (ICD10CM, "C7A.090"),
        (ICD10CM, "O09"),
        (NUCC, "207RP1001X"),
        (RXNORM, "7052"),
        (NDC, "00409-1134-03"),
        (NDC, "00409113403"),
        (POS, "31"),
        ("http://example.org/other", "whatever"),
    ],
)
def test_a_code_that_follows_the_rules_of_its_system_passes(system: str, code: str) -> None:
    assert fault_of(system, code) is None


@pytest.mark.parametrize(
    ("system", "code", "words"),
    [
        pytest.param(LOINC, "59408-6", "the check digit is 6, and would be 5", id="LOINC, wrong check digit"),
        pytest.param(LOINC, "59480-5", "the check digit is 5", id="LOINC, two digits exchanged"),
        pytest.param(LOINC, "594085", "does not look like a code", id="LOINC without its hyphen"),
        pytest.param(SNOMED, "13645006", "the check digit is wrong", id="SNOMED, wrong check digit"),
        pytest.param(SNOMED, "13654005", "the check digit is wrong", id="SNOMED, two digits exchanged"),
        pytest.param(SNOMED, "751689013", "does not name a concept", id="SNOMED, a description"),
        pytest.param(SNOMED, "45105105", "no room for its namespace", id="SNOMED, an extension without namespace"),
        pytest.param(SNOMED, "013645005", "does not look like a code", id="SNOMED, a zero in front"),
        pytest.param(SNOMED, "12005", "does not look like a code", id="SNOMED, too short"),
        pytest.param(HCPCS, "94760", "does not look like a code", id="a CPT code, which is not shipped"),
        pytest.param(HCPCS, "E1390RR", "does not look like a code", id="HCPCS with its modifier glued on"),
        pytest.param(HCPCS, "E139O", "does not look like a code", id="HCPCS, a letter O for a zero"),
        pytest.param(ICD10CM, "J449", "does not look like a code", id="ICD-10-CM without its dot"),
        pytest.param(NUCC, "207RP1001", "does not look like a code", id="NUCC, too short"),
        pytest.param(RXNORM, "0007052", "does not look like a code", id="RxNorm with zeros in front"),
        pytest.param(NDC, "409-1134-03", "does not look like a code", id="NDC of ten digits"),
        pytest.param(POS, "1", "does not look like a code", id="place of service of one digit"),
    ],
)
def test_a_misprint_is_told_with_what_is_wrong(system: str, code: str, words: str) -> None:
    assert words in (fault_of(system, code) or "")
