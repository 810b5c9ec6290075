# SPDX-License-Identifier: Apache-2.0
"""Copies are read back on a schedule and compared with their sources."""
