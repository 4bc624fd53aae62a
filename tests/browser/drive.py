"""How a clinician uses the app: opens it from an order, answers, saves, sends. Knows the page, and no policies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.smart_ehr.server import SmartEhr

MOST_ROUNDS = 12  # an answer can bring up further questions


def signed(page: Any, ehr: SmartEhr, order: str) -> None:
    """Sign an order on the EHR's own page."""
    page.goto(f"{ehr.origin}/")
    page.get_by_role("button", name=f"Sign {order}").click()
    page.wait_for_url("**/order/**")


def opened(page: Any, link: str = "#open") -> None:
    """Follow the EHR's link into the app, until the form is there."""
    page.click(link)
    page.locator("#asking").wait_for()


def item(page: Any, link_id: str) -> Any:
    return page.locator(f'[id^="item-{link_id}/"]').first


def choose(page: Any, link_id: str, code: str) -> None:
    """One answer of a question, by its code."""
    page.locator(f'label[id^="{link_id}/"][id$="|{code}"]').first.click()


def chosen(page: Any, link_id: str) -> str | None:
    """The code of the answer that is chosen."""
    found = page.locator(f'label.ant-radio-wrapper-checked[id^="{link_id}/"]')
    return str(found.first.get_attribute("id")).rsplit("|", 1)[-1] if found.count() else None


def open_questions(page: Any) -> list[str]:
    """The linkIds of choices that are shown and not answered, in the order of the form."""
    groups = page.locator('[role="radiogroup"]:not(:has(.ant-radio-wrapper-checked))').all()
    labels = [str(one.get_attribute("aria-labelledby")) for one in groups]
    return [label.removeprefix("label-").split("/")[0] for label in labels]


def answer_all(page: Any, answers: Mapping[str, str]) -> list[str]:
    """Answer every open question: as `answers` says, else with its first option. Gives what was answered."""
    done: list[str] = []
    for _ in range(MOST_ROUNDS):
        waiting = open_questions(page)
        if not waiting:
            page.wait_for_timeout(200)  # what an answer brings up comes a moment later
            waiting = open_questions(page)
        if not waiting:
            return done
        for link_id in waiting:
            if link_id in answers:
                choose(page, link_id, answers[link_id])
            elif page.locator(f'label[id^="{link_id}/"]').count():
                page.locator(f'label[id^="{link_id}/"]').first.click()
            done.append(link_id)
    raise AssertionError(f"still open: {open_questions(page)}")


def completed(page: Any) -> None:
    page.get_by_role("button", name="Complete and send").click()
    page.locator("#result").wait_for()


def verdicts(page: Any) -> dict[str, str]:
    """What the app shows of each criterion."""
    shown = page.locator(".verdicts li").all()
    return {str(one.get_attribute("data-criterion")): str(one.get_attribute("data-status")) for one in shown}


def origins(response: Mapping[str, Any]) -> dict[str, str]:
    """Who gave each answer of a response, by linkId."""
    found: dict[str, str] = {}

    def read(items: Any) -> None:
        for one in items or ():
            for answer in one.get("answer", ()):
                for extension in answer.get("extension", ()):
                    if extension["url"].endswith("/information-origin"):
                        parts = {part["url"]: part for part in extension["extension"]}
                        found[one["linkId"]] = parts["source"]["valueCode"]
                        assert ("author" in parts) == (parts["source"]["valueCode"] in ("manual", "override"))
                read(answer.get("item"))
            read(one.get("item"))

    read(json.loads(json.dumps(response)).get("item"))
    return found
