"""Codings: every spelling of a code that charts send leads to one key."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.fhir.codings import (
    CPT,
    HCPCS,
    ICD10CM,
    LOINC,
    NDC,
    NPI,
    NUCC,
    POS,
    RXNORM,
    SNOMED,
    SOPT,
    UCUM,
    canonical_system,
    coding_key,
    codings_of,
    keys_of,
    split_hcpcs,
)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", HCPCS),
        ("https://bluebutton.cms.gov/resources/codesystem/hcpcs", HCPCS),
        ("http://terminology.hl7.org/CodeSystem/HCPCS-all-codes", HCPCS),
        ("hhttps://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", HCPCS),
        ("http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets|2024", HCPCS),
        ("urn:oid:2.16.840.1.113883.6.285", HCPCS),
        ("urn:oid:2.16.840.1.113883.6.12", CPT),
        ("http://hl7.org/fhir/sid/icd-10", ICD10CM),
        ("http://hl7.org/fhir/sid/icd-10-us", ICD10CM),
        ("http://terminology.hl7.org/CodeSystem/icd10CM", ICD10CM),
        ("urn:oid:2.16.840.1.113883.6.90", ICD10CM),
        ("http://snomed.info/sct/731000124108", SNOMED),
        ("http://snomed.info/sct/731000124108/version/20260301", SNOMED),
        ("http://snomed.info/sct|http://snomed.info/sct/731000124108", SNOMED),
        ("http://snomed.info/id/252568001", SNOMED),
        ("https://loinc.org/", LOINC),
        ("urn:oid:2.16.840.1.113883.6.1", LOINC),
        ("https://www.nlm.nih.gov/research/umls/rxnorm", RXNORM),
        ("urn:oid:2.16.840.1.113883.6.69", NDC),
        ("http://unitsofmeasure.org/", UCUM),
        ("http://terminology.hl7.org/CodeSystem/v3-nuccProviderCodes", NUCC),
        ("http://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set", POS),
        ("https://nahdo.org/sopt/", SOPT),
        ("urn:oid:2.16.840.1.113883.4.6", NPI),
    ],
)
def test_a_system_is_known_under_each_of_its_addresses(sent: str, meant: str) -> None:
    assert canonical_system(sent) == meant


def test_icd_10_pcs_is_not_taken_for_icd_10_cm() -> None:
    assert canonical_system("http://www.cms.gov/Medicare/Coding/ICD10") != ICD10CM


def test_an_unknown_system_stays_itself_without_its_version() -> None:
    assert canonical_system("http://example.org/codes|7") == "http://example.org/codes"


@pytest.mark.parametrize(
    ("written", "code", "modifiers"),
    [
        ("E1390", "E1390", ()),
        ("e1390", "E1390", ()),
        ("E1390-RR", "E1390", ("RR",)),
        ("E1390RR", "E1390", ("RR",)),
        (" e1390 rr ", "E1390", ("RR",)),
        ("E1390-RR-KX", "E1390", ("RR", "KX")),
        ("E1390:RR,KX", "E1390", ("RR", "KX")),
        ("K0738RRQ0", "K0738", ("RR", "Q0")),
        ("oxygen", "OXYGEN", ()),
        ("E139", "E139", ()),
    ],
)
def test_modifiers_are_split_off_a_hcpcs_code(written: str, code: str, modifiers: tuple[str, ...]) -> None:
    assert split_hcpcs(written) == (code, modifiers)


@pytest.mark.parametrize(
    ("system", "one", "other"),
    [
        (ICD10CM, "J44.9", "j449"),
        (ICD10CM, "J44.9", "J44.9."),
        (HCPCS, "E1390", "e1390-rr"),
        (NDC, "0409-2337-10", "00409233710"),  # 4-4-2
        (NDC, "55513-073-30", "55513007330"),  # 5-3-2
        (NDC, "12345-6789-1", "12345678901"),  # 5-4-1
        (NDC, "12345-6789-01", "12345678901"),
        (LOINC, "59408-5", " 59408-5"),
        (NUCC, "207rp1001x", "207RP1001X"),
    ],
)
def test_two_spellings_of_one_code_have_one_key(system: str, one: str, other: str) -> None:
    assert coding_key(system, one) == coding_key(system, other) is not None


def test_ucum_keeps_its_letter_case_because_there_it_carries_meaning() -> None:
    assert coding_key(UCUM, "s") != coding_key(UCUM, "S")


@pytest.mark.parametrize(("system", "code"), [(None, "E1390"), (HCPCS, None), ("", "E1390"), (HCPCS, " "), (1, 2)])
def test_a_coding_without_system_or_code_has_no_key(system: Any, code: Any) -> None:
    assert coding_key(system, code) is None


def test_a_concept_gives_its_codings_and_a_coding_itself() -> None:
    coding = {"system": LOINC, "code": "59408-5"}
    assert codings_of({"coding": [coding, "noise", None], "text": "SpO2"}) == [coding]
    assert codings_of(coding) == [coding]


@pytest.mark.parametrize("garbage", [None, "E1390", 5, [], {}, {"coding": "x"}, {"coding": {}}, {"text": "SpO2"}])
def test_garbage_has_no_codings(garbage: Any) -> None:
    assert codings_of(garbage) == []
    assert keys_of(garbage) == ()


def test_a_text_of_a_million_letters_is_a_code_like_any_other_unknown_one() -> None:
    assert coding_key(LOINC, "x" * 1_000_000) == (LOINC, "X" * 1_000_000)
    assert canonical_system("http://x/" + "y" * 1_000_000).startswith("http://x/")


def test_keys_of_a_concept_leave_out_codings_that_lack_a_part() -> None:
    concept = {"coding": [{"code": "E1390"}, {"system": LOINC, "code": "59408-5"}, {"system": LOINC, "code": 5}]}
    assert keys_of(concept) == ((LOINC, "59408-5"),)
