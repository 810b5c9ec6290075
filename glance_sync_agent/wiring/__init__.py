# SPDX-License-Identifier: Apache-2.0
"""Joins drivers and settings with the engine; the only package that knows all others."""
