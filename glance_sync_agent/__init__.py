# SPDX-License-Identifier: Apache-2.0
"""Replicates images from one region's Glance to the other regions' Glances."""

from typing import TYPE_CHECKING

__version__: str

if not TYPE_CHECKING:  # a type checker would take every missing module for a string

    def __getattr__(name):
        # Read when asked for: the metadata costs a start-up some milliseconds.
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import metadata

        return metadata.version("glance-sync-agent")
