"""Copy htmx out of the django-htmx wheel into the package: nothing that was fetched is committed."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VENDORED = ("htmx-2.min.js",)


class VendorAssets(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        spec = importlib.util.find_spec("django_htmx")
        if spec is None or spec.origin is None:
            raise RuntimeError("django-htmx is missing: it carries the htmx file that the pages use")
        source = Path(spec.origin).parent / "static" / "django_htmx"
        target = Path(self.root) / "hub" / "web" / "static" / "vendor"
        target.mkdir(parents=True, exist_ok=True)
        for name in VENDORED:
            shutil.copyfile(source / name, target / name)
            build_data["force_include"][str(target / name)] = f"hub/web/static/vendor/{name}"
