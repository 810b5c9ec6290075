# SPDX-License-Identifier: Apache-2.0
"""glance-sync-agent: its processes, threads and lock."""
