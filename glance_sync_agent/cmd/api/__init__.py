# SPDX-License-Identifier: Apache-2.0
"""glance-sync-api: the REST API in a process of its own."""
