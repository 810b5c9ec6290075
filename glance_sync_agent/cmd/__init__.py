# SPDX-License-Identifier: Apache-2.0
"""The commands: the agent, the operator's tool, and the manager's.

The only place that knows of processes, threads, signals and exit codes.
"""
