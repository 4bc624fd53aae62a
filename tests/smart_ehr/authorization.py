"""A SMART authorization server: launches, authorization codes with PKCE, tokens. As strict as a good EHR; no HTTP.

Source: SMART App Launch 2.2, App Launch: Launch and Authorization.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode


@dataclass(frozen=True)
class LaunchContext:
    """What an app is told with its token: whose record it is, who uses it, and what it is about."""

    patient: str
    user: str
    fhir_context: tuple[dict[str, str], ...] = ()
    app_context: str | None = None


@dataclass(frozen=True)
class Grant:
    """A token that is in use."""

    context: LaunchContext
    scope: frozenset[str]


@dataclass(frozen=True)
class _Pending:
    grant: Grant
    client: str
    redirect: str
    challenge: str


class Denied(Exception):
    """Why nothing is authorized, in the words of OAuth; `location` where the app is told by a redirect."""

    def __init__(self, error: str, description: str, location: str | None = None) -> None:
        super().__init__(f"{error}: {description}")
        self.error, self.description, self.location = error, description, location


class PatientWanted(Exception):
    """A standalone launch: the user has to choose a patient first."""


@dataclass
class AuthorizationServer:
    """`clients` are the registered apps with their redirect addresses; `base` is the FHIR server's."""

    base: str
    clients: dict[str, str] = field(default_factory=dict)
    user: str = "Practitioner/dr1"
    launches: dict[str, LaunchContext] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    codes: dict[str, _Pending] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def launch(self, context: LaunchContext) -> str:
        """A handle that an app gets with its launch."""
        handle = secrets.token_urlsafe(12)
        self.launches[handle] = context
        return handle

    def authorize(self, asked: Mapping[str, str], patient: str | None = None) -> str:
        """Where the browser goes next, with a code. `patient` is who was chosen. Raises Denied, PatientWanted."""
        redirect = asked.get("redirect_uri", "")
        if self.clients.get(asked.get("client_id", "")) != redirect:
            # never to an address that nobody registered
            raise self._denied("invalid_request", "no such client with this redirect_uri")

        def denied(error: str, description: str) -> Denied:
            told = {"error": error, "error_description": description, "state": asked.get("state", "")}
            return self._denied(error, description, f"{redirect}?{urlencode(told)}")

        if asked.get("response_type") != "code":
            raise denied("unsupported_response_type", "response_type has to be code")
        if asked.get("aud", "").rstrip("/") != self.base:
            raise denied("invalid_request", "aud is not this FHIR server")
        if not asked.get("state"):
            raise denied("invalid_request", "no state")
        if asked.get("code_challenge_method") != "S256" or len(asked.get("code_challenge", "")) != 43:
            raise denied("invalid_request", "no PKCE challenge (S256)")
        scope = frozenset(asked.get("scope", "").split())
        if "launch" in scope:
            context = self.launches.pop(asked.get("launch", ""), None)
            if context is None:
                raise denied("invalid_request", "no such launch")
        elif "launch/patient" not in scope:
            raise denied("invalid_scope", "launch or launch/patient is wanted")
        elif patient is None:
            raise PatientWanted
        else:
            context = LaunchContext(patient, self.user)
        code = secrets.token_urlsafe(24)
        grant = Grant(context, scope)
        self.codes[code] = _Pending(grant, asked["client_id"], redirect, asked["code_challenge"])
        return f"{redirect}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """The token response for a code. A code is good once. Raises Denied."""
        if asked.get("grant_type") != "authorization_code":
            raise self._denied("unsupported_grant_type", "authorization_code is the one kind")
        pending = self.codes.pop(asked.get("code", ""), None)
        if pending is None:
            raise self._denied("invalid_grant", "no such code, or it was used")
        if (asked.get("client_id"), asked.get("redirect_uri")) != (pending.client, pending.redirect):
            raise self._denied("invalid_grant", "the code was given to another app")
        if not hmac.compare_digest(challenge_of(asked.get("code_verifier", "")), pending.challenge):
            raise self._denied("invalid_grant", "the PKCE verifier does not fit its challenge")
        context = pending.grant.context
        response: dict[str, Any] = {
            "access_token": self.granted(pending.grant),
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": " ".join(sorted(pending.grant.scope)),
            "patient": context.patient,
            "need_patient_banner": True,
        }
        if "openid" in pending.grant.scope:
            response["id_token"] = self._id_token(pending.client, context.user)
        if context.fhir_context:
            response["fhirContext"] = list(context.fhir_context)
        if context.app_context is not None:
            response["appContext"] = context.app_context
        return response

    def granted(self, grant: Grant) -> str:
        token = secrets.token_urlsafe(24)
        self.grants[token] = grant
        return token

    def _id_token(self, client: str, user: str) -> str:
        # signed with a key that nobody is to check: apps of tests read it, as fhirclient does, without verifying
        claims = {"iss": self.base, "aud": client, "sub": user, "fhirUser": f"{self.base}/{user}"}
        parts = [_encoded(json.dumps(one).encode()) for one in ({"alg": "HS256", "typ": "JWT"}, claims)]
        signature = hmac.digest(b"tests only", ".".join(parts).encode(), "sha256")
        return ".".join([*parts, _encoded(signature)])

    def _denied(self, error: str, description: str, location: str | None = None) -> Denied:
        self.refused.append(f"{error}: {description}")
        return Denied(error, description, location)


def challenge_of(verifier: str) -> str:
    """RFC 7636, 4.2: S256."""
    return _encoded(hashlib.sha256(verifier.encode()).digest())


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
