"""create_app(settings): load, wire, register. The only composition root, and the only place with a clock."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import PurePath

import orjson
from flask import Blueprint, Flask

from cds_service.adapters.client_registry import read_clients
from cds_service.adapters.definition_files import DefinitionFile, UnreadCases, read_definition_folders
from cds_service.adapters.dtr_app_files import DtrAppFiles, dtr_app_files
from cds_service.adapters.ehr import Ehr, ehr_of
from cds_service.adapters.store.pruning import Retention
from cds_service.adapters.store.store import Store
from cds_service.adapters.store.told import ToldStore
from cds_service.adapters.store.upkeep import Upkeep
from cds_service.crd.clients import Clients
from cds_service.crd.discovery import discovery as announcement
from cds_service.crd.hooks import HOOKS
from cds_service.crd.override_reasons import code_system
from cds_service.crd.queries import FhirAccess
from cds_service.crd.versions import NEWEST, version_named
from cds_service.dtr.dialects import DTR_22, dialect_named
from cds_service.fhir import working_days
from cds_service.fhir.problem import Problem
from cds_service.policy.catalogue import Catalogue
from cds_service.policy.load import load_catalogue
from cds_service.policy.plan import Policy
from cds_service.settings import Settings, shipped
from cds_service.web.cors import allow_origins
from cds_service.web.definitions import definitions
from cds_service.web.discovery import discovery
from cds_service.web.dtr_app import dtr_app
from cds_service.web.dtr_app_ehrs import client_ids, ehr_sources
from cds_service.web.expand import expand
from cds_service.web.feedback import feedback
from cds_service.web.health import health
from cds_service.web.hooks import hooks
from cds_service.web.metadata import metadata
from cds_service.web.next_question import next_question
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


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the routes are made of: loaded and opened once."""

    settings: Settings
    policies: Policies
    clients: Clients
    store: Store
    told: ToldStore
    app_files: DtrAppFiles
    now: Callable[[], datetime]
    new_id: Callable[[], str]

    @property
    def catalogue(self) -> Catalogue:
        return self.policies.catalogue


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
    store = _opened(settings)
    parts = _Parts(
        settings,
        policies,
        clients,
        store,
        ToldStore(store, settings.dtr_context_days),
        dtr_app_files(shipped("dtr_app/site")),
        now,
        new_id or (lambda: str(uuid.uuid4())),
    )
    app = _flask(settings)
    for routes in (_hook_routes, _questionnaire_routes, _definition_routes, _app_routes):
        for blueprint in routes(parts):
            app.register_blueprint(blueprint)
    answered = frozenset(rule.rule for rule in app.url_map.iter_rules())
    app.register_blueprint(metadata(now(), version("cds-service"), settings.public_url, answered))
    app.extensions[UPKEEP] = Upkeep(store, now)  # for whoever runs workers: it is started after they forked
    return app


def _opened(settings: Settings) -> Store:
    retention = Retention(settings.dtr_context_days, settings.record_days)
    store = Store(settings.database_url, retention, version("cds-service"))
    store.open()  # what is wrong with it is in the log and in /readyz: hooks are answered all the same
    return store


def _flask(settings: Settings) -> Flask:
    """An application without routes, that refuses in one shape."""
    app = Flask(__name__, static_folder=None)
    # how much is read at all, so that too large a body can still be answered (see web/hooks.py)
    app.config["MAX_CONTENT_LENGTH"] = max(settings.max_body + 1, _READ_OFF)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    refuse_in_one_shape(app, settings.max_body)
    unasked = settings.cors_origins is None and settings.client_auth == "off"
    allow_origins(app, settings.cors_origins or (), loopback=unasked)
    return app


# -- the routes, area by area


def _hook_routes(parts: _Parts) -> Iterator[Blueprint]:
    """Discovery, hooks, feedback; and whether the service is well."""
    settings, catalogue = parts.settings, parts.catalogue
    services = {hook.service: hook.name for hook in HOOKS.values()}

    def ehr(access: FhirAccess, deadline: float) -> Ehr | None:
        return ehr_of(access, deadline, parts.clients, settings.client_auth == "off")

    yield health(len(catalogue.policies), parts.store.trouble)
    yield discovery(announcement(catalogue))
    yield hooks(
        services,
        version_named(settings.default_crd_version) or NEWEST,
        catalogue,
        parts.now,
        parts.new_id,
        settings.public_url,
        settings.max_body,
        settings.business_hours,
        ReadBack(ehr, settings.hook_budget),
        parts.clients.of_server,
        parts.store,
        keeps_contexts=settings.dtr_context_days > 0,
        has_dtr_app=parts.app_files.has_libraries,
    )
    yield feedback(services, parts.told.keep_feedback, parts.now, settings.max_body)


def _questionnaire_routes(parts: _Parts) -> Iterator[Blueprint]:
    """Questionnaires out, one question at a time too; finished ones in; what clients report of them."""
    settings, catalogue, told = parts.settings, parts.catalogue, parts.told
    # the version of DTR that goes with the version of CRD
    dialect = dialect_named(settings.default_crd_version) or DTR_22
    yield questionnaire_package(
        Packages(
            catalogue,
            dialect,
            parts.now,
            parts.new_id,
            settings.public_url,
            settings.max_body,
            settings.business_hours,
            told.contexts,
            settings.dtr_context_days,
        )
    )
    yield next_question(
        catalogue,
        told.contexts,
        told.of_patient,
        parts.now,
        settings.business_hours,
        settings.public_url,
        settings.max_body,
        dialect,
        keeps_contexts=told.context_days > 0,
    )
    yield responses(catalogue, told, parts.now, parts.new_id, settings.business_hours, settings.max_body)
    forms = [one.form for one in catalogue.policies if one.form is not None]
    canonicals = frozenset(name for form in forms for name in (form.url, form.canonical))
    yield questionnaire_errors(canonicals, settings.max_body)


def _definition_routes(parts: _Parts) -> Iterator[Blueprint]:
    """The definitions as they stand, ours among them, and their value sets expanded."""
    settings = parts.settings
    held = ((file.definition.resource, file.text) for file in parts.policies.files)
    own = [(one, orjson.dumps(one)) for one in (code_system(),)]
    yield definitions([*held, *own], lambda: parts.now().date(), settings.public_url)
    value_sets = [one for one in parts.catalogue.resources if one["resourceType"] == "ValueSet"]
    yield expand(value_sets, parts.now, parts.new_id, settings.max_body)


def _app_routes(parts: _Parts) -> Iterator[Blueprint]:
    """The app at /dtr/."""
    payers = [(one.id, one.name) for one in parts.catalogue.payers]
    named = client_ids(parts.settings, parts.clients)
    yield dtr_app(parts.app_files, named, ehr_sources(parts.settings, parts.clients), payers)
