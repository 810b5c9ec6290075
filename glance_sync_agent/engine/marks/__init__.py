# SPDX-License-Identifier: Apache-2.0
"""Marked images: which are copies, and which an operator must settle."""
