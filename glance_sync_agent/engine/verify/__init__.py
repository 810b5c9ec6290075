# SPDX-License-Identifier: Apache-2.0
"""Reads copies back on a schedule and replaces damaged ones."""
