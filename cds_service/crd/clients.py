"""A registered client of the service: where its charts may be read, and what it prefers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cds_service.fhir.addresses import read_base


@dataclass(frozen=True, slots=True)
class Client:
    """One entry of the registry. `cards` are options of discovery by their code: what holds where a call says nothing.

    `crd_version` None: the default of the deployment. `batch`: this server answers several reads sent as one Bundle.
    `has_dtr` False: it has no DTR, and is sent Tasks where a form is to be filled in.
    `dtr_client_id` is how its authorization server knows our app for questionnaires, None: as the deployment says;
    `sign_in_origins` are that server's, where it is another than the FHIR server.
    """

    id: str
    fhir_origins: frozenset[str]
    crd_version: str | None = None
    cards: Mapping[str, bool | int] = field(default_factory=dict)
    batch: bool = False
    has_dtr: bool = True
    dtr_client_id: str | None = None
    sign_in_origins: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Clients:
    """The registry. Until callers are told apart by a signed token, a client is known by the server it names."""

    registered: tuple[Client, ...] = ()

    def of_origin(self, origin: str) -> Client | None:
        return next((one for one in self.registered if origin in one.fhir_origins), None)

    def of_server(self, server: str | None) -> Client | None:
        """The client whose FHIR server it is."""
        base = read_base(server)
        return self.of_origin(base.origin) if base is not None and self.registered else None
