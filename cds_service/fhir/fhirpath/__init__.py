"""The FHIRPath that plans may use: compiled at load, three-valued, strict. Knows no policy and no clock."""

from cds_service.fhir.fhirpath.compile import Expression, compile_expression
from cds_service.fhir.fhirpath.errors import EvaluationFault, FhirPathError
from cds_service.fhir.fhirpath.scope import Environment, Scope, ValueSetLike
from cds_service.fhir.fhirpath.static_types import BOOLEAN, NOTHING, Type

__all__ = [
    "BOOLEAN",
    "NOTHING",
    "Environment",
    "EvaluationFault",
    "Expression",
    "FhirPathError",
    "Scope",
    "Type",
    "ValueSetLike",
    "compile_expression",
]
