# SPDX-License-Identifier: Apache-2.0
"""Scans and verifications that people ask for."""
