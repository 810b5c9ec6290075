# SPDX-License-Identifier: Apache-2.0
"""The engine's ports implemented with real services; each library has one module or room.

A driver translates every exception of its library into :mod:`glance_sync_agent.errors` and gets
its settings as constructor arguments. It decides nothing about images.
"""
