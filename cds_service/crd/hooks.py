"""The six hooks of CRD: one table of what each carries, what it is answered with, how it is announced. Judges nothing.

Source: CDS Hooks library (each hook's context), CRD 2.2, Supported Hooks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cds_service.policy.views import REQUESTS

# How a member of a context is written. 'ids' are `Type/id`s, 'bundle' a Bundle of resources
Kind = Literal["text", "id", "ids", "bundle", "object", "objects"]
# Where the orders stand that an answer is about
Orders = Literal["draft", "selections", "appointments", "dispatched", "active"]


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a hook's context. `instead` is the member of an older shape that may stand in its place."""

    kind: Kind
    wanted: str
    required: bool = True
    instead: str | None = None


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook, and the one service that answers it.

    `primary`: coverage-information is owed, and may ask for documents (CRD 2.2, hook-16; hook-17 for the others).
    `writes`: coverage-information is written on the orders. `cards` are the card types that can come.
    """

    name: str
    orders: Orders
    context: Mapping[str, Member]
    primary: bool
    writes: bool
    cards: frozenset[str]
    title: str
    description: str
    version: str = "1.0"  # of the hook in the library of CDS Hooks; 1.0 of order-dispatch is understood as well

    @property
    def service(self) -> str:
        return f"{self.name}-crd"

    @property
    def about(self) -> frozenset[str]:
        """The resource types in its context that an answer is about."""
        return frozenset({"Appointment"}) if self.orders == "appointments" else REQUESTS

    @property
    def writes_on_chart(self) -> bool:
        """Whether orders that come with the chart are written back."""
        return self.writes and self.orders in ("appointments", "dispatched")

    @property
    def bundle(self) -> str | None:
        """The member that carries a Bundle."""
        return next((name for name, member in self.context.items() if member.kind == "bundle"), None)


_USER = Member("text", "who acts, such as Practitioner/123")
_PATIENT = Member("id", "the patient's id, as a string")
_ENCOUNTER = Member("id", "the encounter's id, as a string")
_MAYBE_ENCOUNTER = Member("id", "the encounter's id, as a string", required=False)
_DRAFT = Member("bundle", "a Bundle with the orders to be signed")

_SAYS = (
    "Says for each order whether the payer wants prior authorization, which criteria of its policy the chart meets, "
    "and which documents are missing."
)

_ALL = (
    Hook(
        name="order-sign",
        orders="draft",
        context={"userId": _USER, "patientId": _PATIENT, "encounterId": _MAYBE_ENCOUNTER, "draftOrders": _DRAFT},
        primary=True,
        writes=True,
        cards=frozenset({"guideline", "claim", "clinical-reminder", "dtr-card"}),
        title="Prior authorization of orders being signed",
        description=_SAYS,
    ),
    Hook(
        name="order-select",
        orders="selections",
        context={
            "userId": _USER,
            "patientId": _PATIENT,
            "encounterId": _MAYBE_ENCOUNTER,
            "selections": Member("ids", "the orders that were just selected, such as DeviceRequest/123"),
            "draftOrders": Member("bundle", "a Bundle with the orders of the draft"),
        },
        primary=False,
        writes=True,
        cards=frozenset({"guideline", "claim", "clinical-reminder"}),
        title="Prior authorization of orders being selected",
        description=(
            "Says early, for the orders just selected, whether the payer wants prior authorization and which criteria "
            "of its policy the chart meets. Asks for no documents yet."
        ),
    ),
    Hook(
        name="order-dispatch",
        orders="dispatched",
        context={
            "patientId": _PATIENT,
            "userId": Member("text", _USER.wanted, required=False),
            "dispatchedOrders": Member("ids", "the orders that go out, such as DeviceRequest/123", instead="order"),
            "order": Member("text", "the order that goes out, such as DeviceRequest/123", required=False),
            "performer": Member("text", "who is to perform them, such as Organization/123"),
            "fulfillmentTasks": Member("objects", "a list of Tasks", required=False),
            "task": Member("object", "a Task", required=False),
        },
        primary=True,
        writes=True,
        cards=frozenset({"guideline", "clinical-reminder", "dtr-card"}),
        title="Prior authorization of orders sent to a performer",
        description=_SAYS,
        version="1.1",
    ),
    Hook(
        name="appointment-book",
        orders="appointments",
        context={
            "userId": _USER,
            "patientId": _PATIENT,
            "encounterId": _MAYBE_ENCOUNTER,
            "appointments": Member("bundle", "a Bundle with the appointments to be booked"),
        },
        primary=True,
        writes=True,
        cards=frozenset({"guideline", "clinical-reminder", "dtr-card", "insurance"}),
        title="Prior authorization of what an appointment is for",
        description=(
            "Says for the order behind each appointment, or for the appointment itself, whether the payer wants prior "
            "authorization and what is missing for it."
        ),
    ),
    Hook(
        name="encounter-start",
        orders="active",
        context={"userId": _USER, "patientId": _PATIENT, "encounterId": _ENCOUNTER},
        primary=False,
        writes=False,
        cards=frozenset({"guideline", "insurance"}),
        title="What active orders lack when an encounter starts",
        description=(
            "Says for the patient's active orders what their prior authorization still lacks, while the patient is "
            "there to be asked and examined. Says nothing where nothing is lacking."
        ),
    ),
    Hook(
        name="encounter-discharge",
        orders="active",
        context={"userId": _USER, "patientId": _PATIENT, "encounterId": _ENCOUNTER},
        primary=False,
        writes=False,
        cards=frozenset({"guideline"}),
        title="What active orders lack at discharge",
        description=(
            "Says for the patient's active orders what their prior authorization still lacks before the patient goes "
            "home. Says nothing where nothing is lacking."
        ),
    ),
)

HOOKS: Mapping[str, Hook] = {one.name: one for one in _ALL}
