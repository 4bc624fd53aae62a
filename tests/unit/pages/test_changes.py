"""What changed between two versions of a policy, in words."""

from __future__ import annotations

from cds_service.pages.changes import Change, changes_json, changes_text, page_changes
from cds_service.pages.page import Page
from cds_service.pages.policy_page import policy_page
from cds_service.policy.catalogue import Catalogue
from tests.unit.pages.pair import NEW, OLD, pair_of_versions, successor
from tests.unit.policy.small_plan import row


def changes(catalogue: Catalogue, old: str = OLD, new: str = NEW) -> tuple[Change, ...]:
    pages = {one.version: policy_page(one, catalogue) for one in catalogue.policies}
    return page_changes(pages[old], pages[new])


def change(subject: str, what: str) -> Change:
    found = [one for one in changes(pair_of_versions()) if subject in one.subject and one.what == what]
    assert len(found) == 1, found
    return found[0]


def test_versions_that_differ_in_their_dates_alone_do_not_differ() -> None:
    catalogue = pair_of_versions(successor())
    assert changes(catalogue) == ()
    assert changes(catalogue, NEW, OLD) == ()


def test_a_threshold_that_moved_is_said_with_both_numbers_and_what_it_touches() -> None:
    moved = change("restingLow", "is")
    assert moved.in_short == ("88 % is now 90 %",)
    assert "at or below 88 %" in moved.before[0] and "at or below 90 %" in moved.after[0]
    assert moved.touches == ("acme-oxygen.rest",)


def test_a_window_that_moved_is_said_of_the_fact_and_of_the_document() -> None:
    assert change("restingO2", "window").in_short == ("90 days is now 60 days",)
    assert change("doc.report", "looked for").in_short == ("90 days is now 60 days",)


def test_codes_that_went_and_came_are_named() -> None:
    moved = change("with a code of", "codes")
    assert (moved.before, moved.after) == (("HCPCS E1392",), ("HCPCS E0431",))
    assert change("order-oxygen", "set version").after == ("2",)


def test_a_group_that_joins_its_members_in_another_way_is_said() -> None:
    moved = change("acme-oxygen]", "kind")
    assert (moved.before, moved.after) == (("all of",), ("any of",))


def test_what_is_new_and_what_is_gone_is_told_with_what_it_says() -> None:
    assert any("a clinician answers yes" in line for line in change("acme-oxygen.new", "new").after)
    assert any("excluded if" in line for line in change("excl.angina", "gone").before)


def test_a_title_that_changed_is_said() -> None:
    assert change("auth.managed", "title").after == ("Managed care decides",)


def test_an_expression_written_anew_with_the_same_words_is_a_change_all_the_same() -> None:
    plan = successor(**{"%lung.exists() or {}": "{} or %lung.exists()"})
    [moved] = changes(pair_of_versions(plan))
    assert moved.before == ("%lung.exists() or {}",)
    assert moved.after == ("{} or %lung.exists()",)


def test_a_row_under_another_id_is_one_that_went_and_one_that_came() -> None:
    catalogue = pair_of_versions(successor(**{"auth.managed": "auth.first"}))
    told = {(one.subject.split()[-1], one.what) for one in changes(catalogue)}
    assert ("[auth.first]", "new") in told and ("[auth.managed]", "gone") in told


def test_rows_in_another_order_are_said_for_the_first_that_holds_answers() -> None:
    more = row("auth.urgent", "%line.asNeeded", covered="covered", paNeeded="auth-needed")

    def page(first: int) -> Page:
        plan = successor()
        plan["action"][0]["action"].insert(first, more)
        catalogue = pair_of_versions(plan)
        return policy_page(next(one for one in catalogue.policies if one.version == NEW), catalogue)

    [moved] = page_changes(page(0), page(1))
    assert (moved.subject, moved.what) == ("the table", "order of the rows")
    assert moved.after == ("auth.managed, auth.urgent, auth.all",)


def test_the_text_names_each_subject_once_and_the_json_leaves_out_what_is_empty() -> None:
    found = changes(pair_of_versions())
    text = changes_text(found)
    assert text.count("\n  restingLow\n") == 1
    assert "88 % is now 90 %" in text
    rows = changes_json(found)
    assert len(rows) == len(found)
    assert all(row.get("was") or row.get("now") for row in rows)
