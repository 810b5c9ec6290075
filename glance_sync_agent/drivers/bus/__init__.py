# SPDX-License-Identifier: Apache-2.0
"""The message bus of the cascading region, by oslo.messaging."""
