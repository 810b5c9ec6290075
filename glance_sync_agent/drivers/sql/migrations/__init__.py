# SPDX-License-Identifier: Apache-2.0
"""The history of the task table, one additive step a file in ``versions`` (alembic).

A step is frozen once released: it spells out its columns and imports nothing of the agent.
"""
