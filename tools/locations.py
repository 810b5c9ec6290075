# SPDX-License-Identifier: Apache-2.0
"""A cloud whose cascading Glance shows locations, and accepts those of RegionTwo's images."""

from collections.abc import Iterator
import contextlib
import pathlib

from tools import cloud as clouds

_SHOWING = """\
[DEFAULT]
show_multiple_locations = True
enabled_backends = local:file, web:http
[web]
"""
_FILES = {"RegionOne": ("local.conf", _SHOWING), "RegionTwo": ("tell-size", "")}


@contextlib.contextmanager
def shown(cloud: clouds.Cloud) -> Iterator[None]:
    """Let RegionOne show locations and RegionTwo show sizes, until the block ends."""
    described = cloud.describe()
    made = [
        (name, pathlib.Path(described.region(name).config_dir, file), text)
        for name, (file, text) in _FILES.items()
    ]
    try:
        for name, path, text in made:
            path.write_text(text)
            cloud.restart_service(f"glance-{name}")
        yield
    finally:
        for name, path, _text in made:
            path.unlink(missing_ok=True)
            cloud.restart_service(f"glance-{name}")
