# SPDX-License-Identifier: Apache-2.0
"""Replicates images from one region's Glance to the other regions' Glances."""


def __getattr__(name: str) -> str:
    # Read only when asked for: the metadata costs a start-up some milliseconds.
    if name == "__version__":
        from importlib import metadata

        return metadata.version("glance-sync-agent")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
