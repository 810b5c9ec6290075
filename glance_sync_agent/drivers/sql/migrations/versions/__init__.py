# SPDX-License-Identifier: Apache-2.0
"""The steps; each names the step before it."""
