# SPDX-License-Identifier: Apache-2.0
"""glance-sync-status."""
