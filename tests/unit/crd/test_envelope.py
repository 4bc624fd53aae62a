"""The quick look at an envelope passes nothing that the schema would refuse."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cds_service.crd import envelope

_ANY = st.sampled_from([None, "", "a", "a/", "a\n", "a/\n", 1, True, [], ["a"], {}, {"a": 1}])
_ABSENT = object()


def _members(**sound: Any) -> st.SearchStrategy[dict[str, Any]]:
    """An object with these members, some of which are absent or of another kind."""
    one = {name: st.one_of(st.just(value), st.just(value), _ANY, st.just(_ABSENT)) for name, value in sound.items()}
    return st.fixed_dictionaries(one).map(
        lambda found: {name: value for name, value in found.items() if value is not _ABSENT}
    )


_DRAFTS = _members(resourceType="Bundle", entry=[{}])
_CONTEXTS = st.builds(
    lambda context, draft: {**context, "draftOrders": draft},
    _members(userId="Practitioner/d", patientId="p", encounterId="e"),
    st.one_of(_DRAFTS, _ANY),
)
_CALLS = st.builds(
    lambda call, context: {**call, "context": context},
    _members(hook="order-sign", hookInstance="i", fhirServer="http://x", fhirAuthorization={}, prefetch={}),
    st.one_of(_CONTEXTS, _ANY),
)


@given(_CALLS)
def test_what_the_quick_look_passes_the_schema_passes_too(call: dict[str, Any]) -> None:
    if envelope._plainly_right(call):
        assert list(envelope._VALIDATOR.iter_errors(call)) == []


def test_a_call_like_most_needs_no_second_look() -> None:
    context = {
        "userId": "Practitioner/d",
        "patientId": "p",
        "draftOrders": {"resourceType": "Bundle", "entry": [{"resource": {}}]},
    }
    assert envelope._plainly_right({"hook": "order-sign", "hookInstance": "i", "context": context, "prefetch": {}})
