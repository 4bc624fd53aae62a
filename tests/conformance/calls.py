"""Calls that the suite makes of the real application with the shipped policies, and what is read of their answers."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cds_service.app import create_app
from cds_service.settings import SETTINGS, read_settings
from tests.conformance.answers import CONVERSATIONS, EXTENSION, REQUESTED
from tests.fakes import numbered_ids
from tests.golden_service import NOW

PRIMARY = ("order-sign", "order-dispatch", "appointment-book")
# one call of each hook with a chart that has something to say
CALLS = {
    "order-sign": "home-oxygen-order-sign",
    "order-select": "order-select-one-of-two",
    "order-dispatch": "order-dispatch-with-an-order-that-is-not-sent",
    "appointment-book": "appointment-book-with-and-without-an-order",
    "encounter-start": "encounter-start-with-an-order-that-lacks-something",
    "encounter-discharge": "encounter-discharge-without-active-orders",
}
CONFIGURATION = "davinci-crd.configuration"


def application(folder: Path, **settings: str) -> FlaskClient:
    """A client of the application as it is served, at the instant of all conversations. It keeps in `folder`."""
    chosen = {"CDS_CLIENT_AUTH": "off", "CDS_PUBLIC_URL": "https://cds.example.org", **settings}
    if any(one.name == "CDS_DATABASE_URL" for one in SETTINGS):
        chosen.setdefault("CDS_DATABASE_URL", f"sqlite:///{folder}/cds.sqlite")
    read, problems = read_settings(chosen)
    assert read is not None, problems
    return create_app(read, now=lambda: NOW, new_id=numbered_ids()).test_client()


def conversation(name: str) -> dict[str, Any]:
    """The call of a conversation, without what it says of versions and configuration."""
    document = json.loads((CONVERSATIONS / name / "request.json").read_bytes())
    document.pop("extension", None)
    return dict(document)


def call_of(hook: str) -> dict[str, Any]:
    return conversation(CALLS[hook])


def changed(document: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """A copy in which something was changed."""
    found = copy.deepcopy(document)
    change(found)
    return found


def asking(document: dict[str, Any], version: str | None = None, **configuration: Any) -> dict[str, Any]:
    """The call with a requested version and a configuration (`_` for `-` in the codes)."""
    extension: dict[str, Any] = {} if version is None else {REQUESTED: version}
    if configuration:
        extension[CONFIGURATION] = {name.replace("_", "-"): value for name, value in configuration.items()}
    return {**document, "extension": extension}


def posted(client: FlaskClient, document: dict[str, Any]) -> TestResponse:
    return client.post(f"/cds-services/{document['hook']}-crd", json=document)


def answered(client: FlaskClient, document: dict[str, Any]) -> dict[str, Any]:
    """The answer, once it is found to be one."""
    response = posted(client, document)
    assert response.status_code == 200, response.get_data(as_text=True)[:400]
    assert response.mimetype == "application/json"
    return dict(json.loads(response.data))


def refused(client: FlaskClient, document: dict[str, Any] | bytes, status: int, hook: str = "order-sign") -> Any:
    """The one issue of the OperationOutcome with which a call is refused."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    response = client.post(f"/cds-services/{hook}-crd", data=body, content_type="application/json")
    assert response.status_code == status, response.get_data(as_text=True)[:400]
    outcome = response.get_json()
    assert outcome["resourceType"] == "OperationOutcome"
    (issue,) = outcome["issue"]
    assert {"severity", "code", "details"} <= set(issue)
    return issue


def parts_of(extension: dict[str, Any]) -> dict[str, list[Any]]:
    """Coverage-information as {part: its values}; a complex part is {its part: its values} again."""
    found: dict[str, list[Any]] = {}
    for one in extension["extension"]:
        value = next((one[name] for name in one if name.startswith("value")), None)
        found.setdefault(one["url"], []).append(parts_of(one) if value is None else value)
    return found


def written(answer: dict[str, Any]) -> dict[str, list[dict[str, list[Any]]]]:
    """What is written on each order: its repetitions of coverage-information, in parts."""
    found: dict[str, list[dict[str, list[Any]]]] = {}
    for action in answer.get("systemActions", ()):
        resource = action["resource"]
        said = [parts_of(one) for one in resource.get("extension", ()) if one["url"] == EXTENSION]
        if said:
            found[f"{resource['resourceType']}/{resource['id']}"] = said
    return found


def only_statement(answer: dict[str, Any]) -> dict[str, list[Any]]:
    ((one,),) = written(answer).values()
    return one


def without_ids(answer: dict[str, Any]) -> Any:
    """An answer without what is new each time."""
    if isinstance(answer, dict):
        if answer.get("url") == "coverage-assertion-id":
            return None
        return {name: without_ids(one) for name, one in answer.items() if name != "uuid"}
    return [without_ids(one) for one in answer] if isinstance(answer, list) else answer


def every_object(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object in a value."""
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from every_object(one)


def draft(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The resources of the draft."""
    return [one["resource"] for one in document["context"]["draftOrders"]["entry"]]


def coverage_in(document: dict[str, Any]) -> dict[str, Any]:
    """The first Coverage in prefetch."""
    entries = document["prefetch"]["coverage"]["entry"]
    return next(one["resource"] for one in entries if one["resource"]["resourceType"] == "Coverage")
