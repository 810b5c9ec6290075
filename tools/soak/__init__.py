# SPDX-License-Identifier: Apache-2.0
"""Random users, random faults, and a judge that trusts no agent.

A run has several lanes. Each lane has a plan that depends on the seed alone, and executes it in
a thread of its own. So a seed repeats the operations and their order, but not the timing of the
agents.
"""
