# SPDX-License-Identifier: Apache-2.0
"""The history of the tables; each file in ``versions`` is one additive step of alembic.

A released step never changes, so it imports nothing from the agent.
"""
