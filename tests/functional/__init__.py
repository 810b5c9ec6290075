# SPDX-License-Identifier: Apache-2.0
"""The installed commands in processes of their own, on the real cloud."""
