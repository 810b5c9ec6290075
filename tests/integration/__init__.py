# SPDX-License-Identifier: Apache-2.0
"""The drivers on real services."""
