# SPDX-License-Identifier: Apache-2.0
"""The engine's ports in terms of real services: one module, or a small group, a library.

A driver translates every exception of its library into :mod:`glance_sync_agent.errors` and gets
its settings as constructor arguments. It decides nothing about images.
"""
