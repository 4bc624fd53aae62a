"""The file of CDS_CLIENTS -> registered clients, or every fault in it at once. Strict: it says who may be called."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from cds_service.crd.clients import Client, Clients
from cds_service.fhir.addresses import read_base
from cds_service.fhir.problem import Problem

_MEMBERS = ("id", "fhir", "crdVersion", "cards", "batch", "dtr")
_DTR_MEMBERS = ("clientId", "signIn")
_CLIENT_ID = re.compile(r"[\x21-\x7e]{1,256}")  # RFC 6749, A.1
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_VERSIONS = {"2.0": "2.0.1", "2.0.1": "2.0.1", "2.1": "2.1", "2.1.0": "2.1", "2.2": "2.2"}
_MOST_BYTES = 4 << 20


def read_clients(path: Path) -> tuple[Clients | None, list[Problem]]:
    """The registry in a file, or all that is wrong with it."""
    reading = _Reading(path.name)
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        clients = reading.registry(orjson.loads(text) if len(text) <= _MOST_BYTES else None)
    except OSError as fault:
        reading.fault("", f"cannot be read ({type(fault).__name__})", "let the service read it")
    except orjson.JSONDecodeError as fault:
        reading.fault("", f"not JSON (line {fault.lineno}, column {fault.colno})", "write one JSON object")
    return (None, reading.problems) if reading.problems else (Clients(tuple(clients)), [])


class _Reading:
    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self.ids: set[str] = set()
        self.origins: set[str] = set()

    def fault(self, path: str, what: str, fix: str) -> None:
        self.problems.append(Problem("invalid", f"{self.name}: {path}" if path else self.name, what, fix))

    def registry(self, document: Any) -> list[Client]:
        if not isinstance(document, dict) or not isinstance(document.get("clients"), list):
            self.fault("", "no list of clients", 'write {"clients": [...]}')
            return []
        for name in document.keys() - {"clients"}:
            self.fault(name, "no such member", "the one member is clients")
        return [self.client(one, f"clients[{n}]") for n, one in enumerate(document["clients"])]

    def client(self, entry: Any, path: str) -> Client:
        if not isinstance(entry, dict):
            self.fault(path, "not an object", "write one object for each client")
            return Client("", frozenset())
        self.known(entry, _MEMBERS, path)
        batch = entry.get("batch", False)
        if not isinstance(batch, bool):
            self.fault(f"{path}.batch", "not true or false", "write true where the server answers batch Bundles")
        dtr = {} if entry.get("dtr") is False else entry.get("dtr", {})
        return Client(
            id=self.identity(entry.get("id"), f"{path}.id"),
            fhir_origins=frozenset(self.fhir(entry.get("fhir"), f"{path}.fhir")),
            crd_version=self.version(entry.get("crdVersion"), f"{path}.crdVersion"),
            cards=dict(self.cards(entry.get("cards", {}), f"{path}.cards")),
            batch=batch is True,
            has_dtr=entry.get("dtr") is not False,
            dtr_client_id=self.dtr_client_id(dtr, f"{path}.dtr"),
            sign_in_origins=frozenset(self.sign_in(dtr, f"{path}.dtr.signIn")),
        )

    def known(self, entry: dict[str, Any], members: tuple[str, ...], path: str) -> None:
        for name in sorted(entry.keys() - set(members)):
            near = difflib.get_close_matches(name, members, n=1)
            fix = f"did you mean {near[0]}?" if near else f"the members are {', '.join(members)}"
            self.fault(f"{path}.{name}", "no such member", fix)

    def dtr_client_id(self, dtr: Any, path: str) -> str | None:
        if not isinstance(dtr, dict):
            self.fault(
                path, "not an object", 'write how the app is registered, such as {"clientId": "..."}; or false: no DTR'
            )
            return None
        self.known(dtr, _DTR_MEMBERS, path)
        text = dtr.get("clientId")
        if text is not None and not (isinstance(text, str) and _CLIENT_ID.fullmatch(text)):
            self.fault(f"{path}.clientId", "not a client id", "write it as the EHR gave it, without spaces")
            return None
        return text

    def sign_in(self, dtr: Any, path: str) -> Iterator[str]:
        origins = dtr.get("signIn", []) if isinstance(dtr, dict) else []
        if not isinstance(origins, list):
            self.fault(path, "no list of origins", 'write the authorization servers: ["https://auth.example.org"]')
            return
        for n, text in enumerate(origins):
            origin = self.origin(text, f"{path}[{n}]")
            if origin is not None:
                yield origin

    def identity(self, text: Any, path: str) -> str:
        if not isinstance(text, str) or not _ID.fullmatch(text):
            self.fault(path, "not an id", "write letters, digits, dots, hyphens: general-hospital")
            return ""
        if text in self.ids:
            self.fault(path, f"{text!r} is given twice", "give each client an id of its own")
        self.ids.add(text)
        return text

    def fhir(self, origins: Any, path: str) -> Iterator[str]:
        if not isinstance(origins, list) or not origins:
            self.fault(path, "no list of origins", 'write the FHIR servers, such as ["https://ehr.example.org"]')
            return
        for n, text in enumerate(origins):
            here = f"{path}[{n}]"
            origin = self.origin(text, here)
            if origin in self.origins:
                self.fault(here, f"{origin} is given twice", "name each origin under one client")
            elif origin is not None:
                self.origins.add(origin)
                yield origin

    def origin(self, text: Any, here: str) -> str | None:
        address = read_base(text)
        if address is None or address.path:
            # a path would promise that the rest of the server is not called; the port and the host decide that
            self.fault(here, "not an origin", "write scheme, host and port only: https://ehr.example.org")
        elif address.scheme != "https" and not address.is_loopback:
            self.fault(here, "http to another machine", "write https: the token and the chart travel there")
        else:
            return address.origin
        return None

    def version(self, text: Any, path: str) -> str | None:
        if text is None:
            return None
        if not isinstance(text, str) or text not in _VERSIONS:
            self.fault(path, "not a version of CRD that is known here", f"write one of {', '.join(_VERSIONS)}")
            return None
        return _VERSIONS[text]

    def cards(self, cards: Any, path: str) -> Iterator[tuple[str, bool | int]]:
        if not isinstance(cards, dict):
            self.fault(path, "not an object", 'write options of discovery, such as {"guideline": false}')
            return
        for code, value in cards.items():
            if code == "max-cards":
                right = isinstance(value, int) and not isinstance(value, bool) and value >= 0
                fix = "write a whole number, 0 or more"
            else:
                right, fix = isinstance(value, bool), "write true or false"
            if not right:
                self.fault(f"{path}.{code}", "not a value of this option", fix)
            else:
                yield code, value
