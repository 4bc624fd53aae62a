"""The discovery document: one service for each hook, what it asks for and what can be switched off. Pure."""

from __future__ import annotations

from typing import Any

from cds_service.crd.hooks import HOOKS, Hook
from cds_service.crd.prefetch import DEFAULT_MAX_CARDS, ONLY_IF_ASKED_FOR, NeedsTypes
from cds_service.crd.templates import templates
from cds_service.crd.versions import VERSIONS

# CRD card types (CodeSystem cdshooks-card-type) that a call can switch off
_COVERAGE_INFO = (
    "coverage-info",
    "Coverage Information",
    "Write what the payer wants to know and to see on each order.",
)
_UNSOLICITED = (
    "unsolicited-determ",
    "Unsolicited Determinations",
    "Say that an order is authorized already where an authorization is on file; off for a call that asks what if.",
)
_CARDS = (
    ("guideline", "Guidelines", "Say which criteria of the payer's policy are met, not met or still open."),
    ("claim", "Claim", "Suggest changes to an order, or further orders, that the payer's policy asks for."),
    ("clinical-reminder", "Clinical Reminders", "Give the notes of the payer's policy that ask no action."),
    (
        "dtr-card",
        "Questions",
        "Give a link that opens the payer's questions in an app of this service; off unless asked for.",
    ),
    ("insurance", "Insurance", "Offer to correct a coverage that has ended and is still marked active."),
)
_MAX_CARDS = "At most this many cards, the most useful ones."


def discovery(catalogue: NeedsTypes) -> dict[str, Any]:
    """The discovery document: the services in the order of the table of hooks.

    Source: CDS Hooks 2.0, Discovery; CRD 2.2, deviations page (configuration options, version indicator).
    """
    return {"services": [_service(one, catalogue) for one in HOOKS.values()]}


def _service(hook: Hook, catalogue: NeedsTypes) -> dict[str, Any]:
    switches = [
        *((_COVERAGE_INFO, _UNSOLICITED) if hook.writes else ()),
        *(one for one in _CARDS if one[0] in hook.cards),
    ]
    return {
        "hook": hook.name,
        "id": hook.service,
        "title": hook.title,
        "description": hook.description,
        # CDS Hooks 3.0 (ballot), harmless before it
        "version": "2.0.0",
        "hookVersion": hook.version,
        "usageRequirements": (
            "Answers from what the call carries and, where the FHIR server is registered, from what it lets be read: "
            "what neither brings is unknown, and never a no."
        ),
        "prefetch": templates(catalogue.types_needed, hook.name),
        "extension": {
            "davinci-crd.version": [one.name for one in VERSIONS],
            "davinci-crd.configuration-options": [
                *(
                    _option(code, "boolean", name, description, code not in ONLY_IF_ASKED_FOR)
                    for code, name, description in switches
                ),
                _option("max-cards", "integer", "Maximum cards", _MAX_CARDS, DEFAULT_MAX_CARDS),
            ],
        },
    }


def _option(code: str, kind: str, name: str, description: str, default: object) -> dict[str, Any]:
    return {"code": code, "type": kind, "name": name, "description": description, "default": default}
