"""Which EHRs the app at /dtr/ may talk to, and how each of them knows it. Pure: settings and registry in, names out."""

from __future__ import annotations

from collections.abc import Callable

from cds_service.crd.clients import Clients
from cds_service.fhir.addresses import read_base
from cds_service.settings import Settings

# as a content security policy writes them; it has no way to write [::1]
_THIS_MACHINE = ("http://127.0.0.1:*", "http://localhost:*", "https://127.0.0.1:*", "https://localhost:*")


def client_ids(settings: Settings, clients: Clients) -> Callable[[str], str | None]:
    """How the EHR with a FHIR base knows our app: only of registered ones, or, while nobody is asked who it is, of this
    machine (the rule by which charts are read)."""

    def client_id_at(iss: str) -> str | None:
        base = read_base(iss)
        client = clients.of_server(iss)
        if base is None or not (base.is_loopback if settings.client_auth == "off" else client is not None):
            return None
        return (client.dtr_client_id if client is not None else None) or settings.dtr_client_id

    return client_id_at


def ehr_sources(settings: Settings, clients: Clients) -> tuple[str, ...]:
    """All of them, as a content security policy writes them."""
    if settings.client_auth == "off":
        return _THIS_MACHINE
    return tuple(sorted({one for client in clients.registered for one in client.fhir_origins | client.sign_in_origins}))
