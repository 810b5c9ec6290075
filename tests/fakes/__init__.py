# SPDX-License-Identifier: Apache-2.0
"""The engine's ports in memory; each obeys the same contract as the real driver."""
