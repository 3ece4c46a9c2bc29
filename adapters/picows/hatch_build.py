"""Builds the parts in C, where there are a C compiler and Python's headers.

Without them the package is built all the same, in Python alone. ``PICOWS_IN_C=1`` in the
environment makes that an error, and ``PICOWS_IN_C=0`` leaves C out.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from Cython.Build import cythonize
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.errors import BaseError, CompileError, LinkError

PACKAGE = "unisock_picows"


class NativeBuildHook(BuildHookInterface[Any]):
    """Adds the compiled module: to a wheel; or, where the source is installed as it is, to that."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        wanted = os.environ.get("PICOWS_IN_C", "")
        package, editable = Path(self.root, PACKAGE), version == "editable"
        if editable:
            for old in (*package.glob("native.*.so"), *package.glob("native.*.pyd")):
                old.unlink()
        if wanted == "0":
            return
        self._folder = tempfile.TemporaryDirectory()
        try:
            built = build(package / "native.pyx", self._folder.name)
        except (BaseError, CompileError, LinkError) as error:
            if wanted == "1":
                raise
            self.app.display_warning(f"{PACKAGE}: built without its parts in C: {error}")
            return
        if editable:
            shutil.copy(built, package)
        else:
            build_data["force_include"][str(built)] = f"{PACKAGE}/{built.name}"
            build_data["pure_python"] = False
            build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "_folder"):
            self._folder.cleanup()


def build(source: Path, folder: str) -> Path:
    """Compile a module, somewhere below a folder."""
    extension = Extension(
        f"{PACKAGE}.{source.stem}",
        [shutil.copy(source, folder)],
        define_macros=[("PICOWS_VERSION", f'"{metadata.version("picows")}"')],
        extra_compile_args=["-g0", "-O3"] if os.name == "posix" else [],
    )
    modules = cythonize([extension], build_dir=folder, quiet=True)
    command = Distribution({"ext_modules": modules}).get_command_obj("build_ext")
    command.build_lib = command.build_temp = folder
    command.ensure_finalized()
    command.run()
    [compiled] = command.get_outputs()
    return Path(compiled)
