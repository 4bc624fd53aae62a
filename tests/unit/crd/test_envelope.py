"""The quick look at an envelope passes nothing that the schema would refuse, whichever hook is called."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.crd import envelope
from cds_service.crd.hooks import HOOKS, Hook

_ANY = st.sampled_from([None, "", "a", "a/", "a\n", "a/\n", 1, True, [], ["a"], [""], [1], [{}], {}, {"a": 1}])
_ABSENT = object()
each_hook = pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS.keys())


def _members(sound: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with these members, some of which are absent or of another kind."""
    one = {name: st.one_of(st.just(value), st.just(value), _ANY, st.just(_ABSENT)) for name, value in sound.items()}
    return st.fixed_dictionaries(one).map(
        lambda found: {name: value for name, value in found.items() if value is not _ABSENT}
    )


_SOUND: dict[str, Any] = {"text": "Type/a", "id": "a", "ids": ["Type/a"], "object": {}, "objects": [{}]}
_BUNDLES = st.one_of(_members({"resourceType": "Bundle", "entry": [{}]}), _ANY)


def _calls(hook: Hook) -> st.SearchStrategy[dict[str, Any]]:
    sound = {name: _SOUND[member.kind] for name, member in hook.context.items() if member.kind != "bundle"}
    contexts = _members(sound)
    if hook.bundle is not None:
        name = hook.bundle
        contexts = st.builds(lambda context, bundle: {**context, name: bundle}, contexts, _BUNDLES)
    outside = {
        "hook": hook.name,
        "hookInstance": "i",
        "fhirServer": "http://x",
        "fhirAuthorization": {},
        "prefetch": {},
    }
    return st.builds(lambda call, context: {**call, "context": context}, _members(outside), st.one_of(contexts, _ANY))


_HOOK_AND_CALL = st.sampled_from(list(HOOKS.values())).flatmap(lambda hook: st.tuples(st.just(hook), _calls(hook)))


@given(_HOOK_AND_CALL)
def test_what_the_quick_look_passes_the_schema_passes_too(called: tuple[Hook, dict[str, Any]]) -> None:
    hook, call = called
    if envelope._plainly_right(call, hook):
        assert list(envelope._VALIDATORS[hook.name].iter_errors(call)) == []


def _sound(hook: Hook) -> dict[str, Any]:
    bundle = {"resourceType": "Bundle", "entry": [{"resource": {}}]}
    context = {name: _SOUND.get(one.kind, bundle) for name, one in hook.context.items() if one.required}
    return {"hook": hook.name, "hookInstance": "i", "context": context, "prefetch": {}}


@each_hook
def test_a_call_like_most_needs_no_second_look(hook: Hook) -> None:
    assert envelope._plainly_right(_sound(hook), hook)


@each_hook
def test_each_member_that_is_owed_is_named_when_it_is_missing(hook: Hook) -> None:
    for name, member in hook.context.items():
        call = _sound(hook)
        call["context"].pop(name, None)
        problem = envelope._fault(call, hook)
        assert (problem is not None) == member.required
        if problem is not None:
            assert (problem.where, problem.what, problem.fix) == (f"context.{name}", "missing", f"send {member.wanted}")


def test_order_dispatch_may_come_in_its_older_shape() -> None:
    hook = HOOKS["order-dispatch"]
    call = _sound(hook)
    del call["context"]["dispatchedOrders"]
    call["context"] |= {"order": "DeviceRequest/o1", "task": {"resourceType": "Task"}}
    assert envelope._fault(call, hook) is None


@each_hook
def test_a_member_of_another_kind_is_told_where_it_stands(hook: Hook) -> None:
    for name, member in hook.context.items():
        call = _sound(hook)
        call["context"][name] = 7
        problem = envelope._fault(call, hook)
        assert problem is not None
        assert (problem.where, problem.fix) == (f"context.{name}", f"send {member.wanted}")
