# SPDX-License-Identifier: Apache-2.0
"""The agent as a process: its command, its service and the lock on its state."""
