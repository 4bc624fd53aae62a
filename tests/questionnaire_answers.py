"""Answers a questionnaire as a clinician would: what is said for each question, yes where nothing is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Item = Mapping[str, Any]


def completed(
    questionnaire: Mapping[str, Any], patient: str, authored: str, said: Mapping[str, str], **more: Any
) -> dict[str, Any]:
    """A completed response. `said`: linkId -> the code of the option that is chosen; None, by `-`, for no answer.

    A choice of which nothing is said is answered by its first option, a document is attached, other items are left out.
    """
    chosen: dict[str, Mapping[str, Any]] = {}
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": f"{questionnaire['url']}|{questionnaire['version']}",
        "status": "completed",
        "subject": {"reference": patient},
        "authored": authored,
        "item": _answered(questionnaire["item"], said, chosen),
        **more,
    }


def _answered(items: Any, said: Mapping[str, str], chosen: dict[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for item in items:
        name = item["linkId"]
        if not _is_enabled(item, chosen) or said.get(name) == "-":
            continue
        nested = item.get("item", ())
        if item["type"] == "group":
            inside = _answered(nested, said, chosen)
            if inside:
                found.append({"linkId": name, "item": inside})
        elif item["type"] == "choice":
            options = [one["valueCoding"] for one in item["answerOption"]]
            coding = next((one for one in options if one["code"] == said.get(name)), options[0])
            chosen[name] = coding
            below = _answered(nested, said, chosen)
            found.append({"linkId": name, "answer": [{"valueCoding": coding, **({"item": below} if below else {})}]})
        elif item["type"] == "attachment":
            pdf = {"contentType": "application/pdf", "data": "JVBERi0="}
            found.append({"linkId": name, "answer": [{"valueAttachment": pdf}]})
    return found


def _is_enabled(item: Item, chosen: Mapping[str, Mapping[str, Any]]) -> bool:
    conditions = item.get("enableWhen", ())
    held = [
        (answer := chosen.get(one["question"])) is not None
        and (answer.get("system"), answer["code"]) == (one["answerCoding"].get("system"), one["answerCoding"]["code"])
        for one in conditions
    ]
    return not held or (any(held) if item.get("enableBehavior") == "any" else all(held))
