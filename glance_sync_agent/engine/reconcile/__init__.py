# SPDX-License-Identifier: Apache-2.0
"""Scans that compare sources with copies and request tasks for differences."""
