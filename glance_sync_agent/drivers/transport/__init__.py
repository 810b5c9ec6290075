# SPDX-License-Identifier: Apache-2.0
"""HTTP over sockets and SSH channels, for image data."""
