# SPDX-License-Identifier: Apache-2.0
"""The steps from an event to a copy, told in ports.

Knows no library and no protocol: what it needs from the world is in :mod:`.ports`.
"""
