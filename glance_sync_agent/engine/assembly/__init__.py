# SPDX-License-Identifier: Apache-2.0
"""The only place that joins the parts of the engine."""
