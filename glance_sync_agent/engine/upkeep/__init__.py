# SPDX-License-Identifier: Apache-2.0
"""What agents do for each other beside their tasks: reports, counts, and old events."""
