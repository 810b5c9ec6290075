# SPDX-License-Identifier: Apache-2.0
"""The build backend of ``tools/packaging`` in a tree that git does not know."""

import configparser
import os
import pathlib
import shutil
import subprocess
import sys

from tests import paths

_ROOT = paths.ROOT
_ASK = "import os, pbr_backend; print(os.environ['PBR_VERSION'])"


def _version(tree: pathlib.Path, **environment: str) -> str:
    backend = tree / "tools" / "packaging"
    if not backend.exists():
        shutil.copytree(_ROOT / "tools" / "packaging", backend)
    given = {name: value for name, value in os.environ.items() if name != "PBR_VERSION"}
    done = subprocess.run(
        [sys.executable, "-c", _ASK],
        env=given | environment | {"PYTHONPATH": str(backend)},
        cwd=tree, capture_output=True, text=True, check=True,
    )
    return done.stdout.strip()


def test_a_tree_without_git_leads_to_the_next_release(tmp_path: pathlib.Path) -> None:
    assert _version(tmp_path) == "0.1.0.dev0"


def test_a_packager_has_the_last_word(tmp_path: pathlib.Path) -> None:
    assert _version(tmp_path, PBR_VERSION="7.0.0") == "7.0.0"


def test_the_package_has_every_file_that_operators_copy() -> None:
    parser = configparser.ConfigParser()
    parser.read(_ROOT / "setup.cfg")
    patterns = parser["options.data_files"].values()
    packaged = {path for pattern in patterns for path in _ROOT.glob(pattern.strip())}
    assert packaged == {path for path in (_ROOT / "etc").rglob("*") if path.is_file()}
