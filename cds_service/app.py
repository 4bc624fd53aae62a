"""create_app(settings): load, wire, register. The only composition root, and the only place with a clock."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import PurePath

import orjson
from flask import Flask

from cds_service.adapters.client_registry import read_clients
from cds_service.adapters.definition_files import DefinitionFile, UnreadCases, read_definition_folders
from cds_service.adapters.dtr_app_files import dtr_app_files
from cds_service.adapters.ehr import Ehr, ehr_of
from cds_service.adapters.store.pruning import Retention
from cds_service.adapters.store.store import Store, StoreAway
from cds_service.adapters.store.upkeep import Upkeep
from cds_service.crd.clients import Clients
from cds_service.crd.discovery import discovery as announcement
from cds_service.crd.feedback import Feedback
from cds_service.crd.hooks import HOOKS
from cds_service.crd.override_reasons import code_system
from cds_service.crd.queries import FhirAccess
from cds_service.crd.received import Fate, ToStore
from cds_service.crd.responses import StoredResponse
from cds_service.crd.versions import NEWEST, version_named
from cds_service.dtr.dialects import DTR_22, dialect_named
from cds_service.fhir import working_days
from cds_service.fhir.addresses import read_base
from cds_service.fhir.problem import Problem
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.context import Context
from cds_service.policy.load import load_catalogue
from cds_service.policy.plan import Policy
from cds_service.settings import Settings, shipped
from cds_service.web.cors import allow_origins
from cds_service.web.definitions import definitions
from cds_service.web.discovery import discovery
from cds_service.web.dtr_app import dtr_app
from cds_service.web.expand import expand
from cds_service.web.feedback import feedback
from cds_service.web.health import health
from cds_service.web.hooks import hooks
from cds_service.web.metadata import metadata
from cds_service.web.next_question import default_manner, next_question
from cds_service.web.problems import refuse_in_one_shape
from cds_service.web.questionnaire_errors import questionnaire_errors
from cds_service.web.questionnaire_package import Packages, questionnaire_package
from cds_service.web.read_back import ReadBack
from cds_service.web.responses import responses

_READ_OFF = 64 << 20
UPKEEP = "upkeep of the store"


class StartRefused(Exception):
    """The service cannot start: carries every fault that was found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Policies:
    """What the definition folders hold: the catalogue, the files as they stand, the policies' own cases."""

    catalogue: Catalogue
    files: tuple[DefinitionFile, ...]
    cases: tuple[UnreadCases, ...]

    def beside(self, cases: UnreadCases) -> Policy | None:
        """The policy whose plan stands in the folder of these cases."""
        folder = PurePath(cases.where).parent
        for file in self.files:
            resource = file.definition.resource
            if resource["resourceType"] == "PlanDefinition" and PurePath(file.definition.where).parent == folder:
                return self.catalogue.by_canonical(resource["url"], resource["version"])
        return None


def load_policies(settings: Settings) -> Policies:
    """Read, check and compile the folders of `settings`. Raises StartRefused with every fault."""
    folders = read_definition_folders(settings.plans, settings.valuesets)
    definitions = [file.definition for file in folders.files]
    catalogue, faults = load_catalogue(definitions, settings.disabled_policies)
    # what else is amiss in a file that is not finished is told once it is
    ready = [one for one in faults if one.where.split(": ")[0] not in folders.unfinished]
    problems = [*folders.problems, *folders.to_dos, *ready]
    if problems or catalogue is None:
        raise StartRefused(problems)
    return Policies(catalogue, folders.files, folders.cases)


def clock(settings: Settings) -> Callable[[], datetime]:
    """The instant of a call, in the service's zone: its calendar day is the one that policies count from."""
    return lambda: datetime.now(settings.time_zone)


def load_clients(settings: Settings) -> Clients:
    """The client registry of `settings`, empty where none is named. Raises StartRefused with every fault."""
    if settings.clients is None:
        return Clients()
    clients, problems = read_clients(settings.clients)
    if clients is None:
        raise StartRefused(problems)
    return clients


def create_app(
    settings: Settings,
    now: Callable[[], datetime] | None = None,
    new_id: Callable[[], str] | None = None,
) -> Flask:
    """The service as a WSGI application. Raises StartRefused when its policies cannot be served.

    `now` gives the instant of a call in the service's zone, `new_id` a fresh id: only a test passes its own.
    """
    policies = load_policies(settings)
    clients = load_clients(settings)
    now = now or clock(settings)
    year = now().year
    working_days.prepare((year - 1, year, year + 1))  # now, so that no call waits for it
    store = Store(
        settings.database_url, Retention(settings.dtr_context_days, settings.record_days), version("cds-service")
    )
    store.open()  # what is wrong with it is in the log and in /readyz: hooks are answered all the same
    announced = announcement(policies.catalogue)
    services = {hook.service: hook.name for hook in HOOKS.values()}
    crd_version = version_named(settings.default_crd_version) or NEWEST

    app = Flask(__name__, static_folder=None)
    # how much is read at all, so that too large a body can still be answered (see web/hooks.py)
    app.config["MAX_CONTENT_LENGTH"] = max(settings.max_body + 1, _READ_OFF)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    refuse_in_one_shape(app, settings.max_body)
    unasked = settings.cors_origins is None and settings.client_auth == "off"
    allow_origins(app, settings.cors_origins or (), loopback=unasked)
    app.register_blueprint(health(len(policies.catalogue.policies), store.trouble))
    app.register_blueprint(discovery(announced))
    ids = new_id or (lambda: str(uuid.uuid4()))

    def ehr(access: FhirAccess, deadline: float) -> Ehr | None:
        return ehr_of(access, deadline, clients, settings.client_auth == "off")

    read_back = ReadBack(ehr, settings.hook_budget)
    app_files = dtr_app_files(shipped("dtr_app/site"))
    app.register_blueprint(
        hooks(
            services,
            crd_version,
            policies.catalogue,
            now,
            ids,
            settings.public_url,
            settings.max_body,
            settings.business_hours,
            read_back,
            clients.of_server,
            store,
            settings.dtr_context_days > 0,
            app_files.has_libraries,
        )
    )
    named = [(one.id, one.name) for one in policies.catalogue.payers]
    client_id_at, ehr_sources = _client_id_at(settings, clients), _ehr_sources(settings, clients)
    app.register_blueprint(dtr_app(app_files, client_id_at, ehr_sources, named))
    app.register_blueprint(feedback(services, _keeping(store), now, settings.max_body))
    app.extensions[UPKEEP] = Upkeep(store, now)  # for whoever runs workers: it is started after they forked
    days = timedelta(days=settings.dtr_context_days)
    keeps = _Responses(store, days)
    app.register_blueprint(responses(policies.catalogue, keeps, now, ids, settings.business_hours, settings.max_body))
    app.register_blueprint(
        next_question(
            policies.catalogue,
            keeps.contexts,
            now,
            settings.business_hours,
            settings.public_url,
            settings.max_body,
            default_manner(crd_version.name),
        )
    )
    app.register_blueprint(
        questionnaire_package(
            Packages(
                policies.catalogue,
                dialect_named(settings.default_crd_version) or DTR_22,
                now,
                ids,
                settings.public_url,
                settings.max_body,
                settings.business_hours,
                keeps.contexts,
                settings.dtr_context_days,
            )
        )
    )
    held = ((file.definition.resource, file.text) for file in policies.files)
    own = [(one, orjson.dumps(one)) for one in (code_system(),)]
    app.register_blueprint(definitions([*held, *own], lambda: now().date(), settings.public_url))
    value_sets = [one for one in policies.catalogue.resources if one["resourceType"] == "ValueSet"]
    app.register_blueprint(expand(value_sets, now, ids, settings.max_body))
    forms = [one.form for one in policies.catalogue.policies if one.form is not None]
    canonicals = frozenset(name for form in forms for name in (form.url, form.canonical))
    app.register_blueprint(questionnaire_errors(canonicals, settings.max_body))
    routes = frozenset(rule.rule for rule in app.url_map.iter_rules())
    app.register_blueprint(metadata(now(), version("cds-service"), settings.public_url, routes))
    return app


@dataclass(frozen=True, slots=True)
class _Responses:
    """The store for finished questionnaires: why it is away is a text here, and no exception."""

    store: Store
    days: timedelta  # how long the context of a questionnaire is good for

    def contexts(self, identity: str, moment: datetime) -> Sequence[Context] | str:
        try:
            return self.store.contexts(identity, moment - self.days) if self.days else ()
        except StoreAway as away:
            return str(away)

    def keep(
        self, new: ToStore, named: bool, moment: datetime, decide: Callable[[ToStore, ToStore | None], Fate | Problem]
    ) -> tuple[ToStore, Fate] | Problem | str:
        try:
            return self.store.keep_response(new, named, moment, decide)
        except StoreAway as away:
            return str(away)

    def of_patient(self, patient: str) -> Sequence[StoredResponse] | str:
        try:
            return self.store.responses(patient)
        except StoreAway as away:
            return str(away)


def _client_id_at(settings: Settings, clients: Clients) -> Callable[[str], str | None]:
    """How the EHR with a FHIR base knows our app: only of registered ones, or, while nobody is asked who it is, of this
    machine (the rule by which charts are read)."""

    def client_id_at(iss: str) -> str | None:
        base = read_base(iss)
        client = clients.of_server(iss)
        if base is None or not (base.is_loopback if settings.client_auth == "off" else client is not None):
            return None
        return (client.dtr_client_id if client is not None else None) or settings.dtr_client_id

    return client_id_at


# as a content security policy writes them; it has no way to write [::1]
_THIS_MACHINE = ("http://127.0.0.1:*", "http://localhost:*", "https://127.0.0.1:*", "https://localhost:*")


def _ehr_sources(settings: Settings, clients: Clients) -> tuple[str, ...]:
    if settings.client_auth == "off":
        return _THIS_MACHINE
    return tuple(sorted({one for client in clients.registered for one in client.fhir_origins | client.sign_in_origins}))


def _keeping(store: Store) -> Callable[[Sequence[Feedback], str, datetime], str | None]:
    def keep(given: Sequence[Feedback], service: str, moment: datetime) -> str | None:
        try:
            store.keep_feedback(given, service, moment)
        except StoreAway as away:
            return str(away)
        return None

    return keep
