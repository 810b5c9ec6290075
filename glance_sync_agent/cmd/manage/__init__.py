# SPDX-License-Identifier: Apache-2.0
"""glance-sync-manage: the database, the regions and the self-test."""
