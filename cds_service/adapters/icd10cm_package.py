"""ICD-10-CM as the package simple-icd-10-cm brings it. It is large (some seconds, 150 MB): only `check` loads it."""

from __future__ import annotations

import re
import warnings
from importlib.metadata import version
from importlib.resources import files
from types import ModuleType

PACKAGE = "simple-icd-10-cm"


class PackagedCodes:
    """The release that the installed package holds."""

    def __init__(self, package: ModuleType) -> None:
        self._package = package
        self.release = _release(package)

    def holds(self, code: str) -> bool:
        # chapters ("10") and blocks ("J40-J4A") are items too; a block of one category bears its name, and is it
        return bool(self._package.is_valid_item(code)) and not code.isdigit() and "-" not in code

    def billable_under(self, code: str) -> frozenset[str]:
        under = (code, *self._package.get_descendants(code))
        return frozenset(one for one in under if self._package.is_leaf(one))


def packaged_codes() -> PackagedCodes | None:
    """The codes, or None where the package is not installed: it is no part of the service."""
    try:
        with warnings.catch_warnings(action="ignore"):  # it reads its files in a way that is going out of use
            import simple_icd_10_cm
    except ImportError:
        return None
    return PackagedCodes(simple_icd_10_cm)


def _release(package: ModuleType) -> str:
    """As its files are named ("April 2026"); else the package's own version."""
    names = (one.name for one in files(package.__name__).joinpath("data").iterdir())
    found = next((match for name in names if (match := re.fullmatch(r"code-list-(\w+)-(\d{4})\.txt", name))), None)
    return f"{found[1]} {found[2]}" if found else f"of {PACKAGE} {version(PACKAGE)}"
