# SPDX-License-Identifier: Apache-2.0
"""Image data on its way from a source to its copies."""
