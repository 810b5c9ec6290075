# SPDX-License-Identifier: Apache-2.0
"""The machine that the agent runs on."""
