"""What a clinician does in the EHR: sign an order, read what the payer says, open an app. Calls the payer's hook."""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.smart_ehr.authorization import AuthorizationServer, Grant, LaunchContext
from tests.smart_ehr.record import Record, Resource, owner_of

INFORMATION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
HEARD = frozenset({"patient/*.rs"})


@dataclass
class Clinic:
    """`service` is the payer's base address. `heard` is its last answer for each order."""

    record: Record
    authorization: AuthorizationServer
    service: str
    configuration: Mapping[str, Any] = field(default_factory=dict)
    heard: dict[str, dict[str, Any]] = field(default_factory=dict)

    def sign(self, order_id: str) -> dict[str, Any]:
        """Call order-sign for an order, and write on it what the answer says."""
        order = self.order(order_id)
        answer = self._called(order)
        for action in answer.get("systemActions", ()):
            if action["type"] == "update":
                self.record.update({key: value for key, value in action["resource"].items() if key != "meta"})
        self.heard[order_id] = answer
        return answer

    def order(self, order_id: str) -> Resource:
        kind, _, identity = order_id.partition("/")
        found = self.record.read(kind, identity)
        assert found is not None, f"no {order_id} in the record"
        return found

    def _called(self, order: Resource) -> dict[str, Any]:
        patient = owner_of(order)
        assert patient is not None
        grant = Grant(LaunchContext(patient, self.authorization.user), HEARD)
        call = {
            "hook": "order-sign",
            "hookInstance": str(uuid.uuid4()),
            "fhirServer": self.authorization.base,
            "fhirAuthorization": {
                "access_token": self.authorization.granted(grant),
                "token_type": "Bearer",
                "expires_in": 300,
                "scope": " ".join(HEARD),
                "subject": "cds-service",
            },
            "context": {
                "userId": self.authorization.user,
                "patientId": patient,
                "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": order}]},
            },
            "extension": {"davinci-crd.configuration": dict(self.configuration)},
        }
        request = urllib.request.Request(
            f"{self.service}/cds-services/order-sign-crd",
            json.dumps(call).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            answer: dict[str, Any] = json.load(reply)
            return answer

    def launch_url(self, order_id: str, app: str | None = None) -> str:
        """Where the browser opens the app for an order: SMART's EHR launch, with the order and its coverage."""
        order = self.order(order_id)
        coverages = [part["valueReference"] for part in _parts(order, "coverage")] or order.get("insurance", [])
        context = [{"reference": order_id}, *({"reference": one["reference"]} for one in coverages[:1])]
        return self._launched(order, app or f"{self.service}/dtr/launch", tuple(context), None)

    def card_launch_url(self, order_id: str) -> str | None:
        """Where a card's link of type smart leads; the link's appContext goes with it, and nothing else."""
        for card in self.heard.get(order_id, {}).get("cards", ()):
            for link in card.get("links", ()):
                if link["type"] == "smart":
                    return self._launched(self.order(order_id), link["url"], (), link.get("appContext"))
        return None

    def _launched(
        self, order: Resource, app: str, fhir_context: tuple[dict[str, str], ...], app_context: str | None
    ) -> str:
        patient = owner_of(order)
        assert patient is not None
        context = LaunchContext(patient, self.authorization.user, fhir_context, app_context)
        handle = self.authorization.launch(context)
        return f"{app}?{urlencode({'iss': self.authorization.base, 'launch': handle})}"

    def determination(self, order_id: str) -> dict[str, Any]:
        """The first determination of the last answer."""
        for card in self.heard[order_id]["cards"]:
            for one in card.get("extension", {}).get("cds-service.determinations", ()):
                determination: dict[str, Any] = one
                return determination
        raise AssertionError(f"no determination was sent for {order_id}")

    def questionnaires(self, order_id: str) -> list[str]:
        """The forms that coverage-information on the order names."""
        return [part["valueCanonical"] for part in _parts(self.order(order_id), "questionnaire")]


def _parts(order: Resource, url: str) -> list[dict[str, Any]]:
    said = [one for one in order.get("extension", ()) if one.get("url") == INFORMATION]
    return [part for one in said for part in one.get("extension", ()) if part.get("url") == url]
