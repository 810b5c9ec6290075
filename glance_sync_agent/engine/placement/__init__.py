# SPDX-License-Identifier: Apache-2.0
"""The regions in which an image belongs, and how its copies should be there."""
