"""The files of the app at /dtr/, as they were at the start. Reads what is listed and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DtrAppFiles:
    """`has_libraries`: whether `make dtr-app` was run, without which no form can be shown."""

    files: Mapping[str, Path]  # by their name in an address: js/app.js
    has_libraries: bool

    def read(self, name: str) -> bytes | None:
        """What a file holds; None where there is none of this name."""
        path = self.files.get(name)
        return path.read_bytes() if path is not None else None


def dtr_app_files(folder: Path) -> DtrAppFiles:
    """The files below a folder. What stands there later is served after the next start."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return DtrAppFiles(found, any(name.startswith("vendor/") for name in found))
