# SPDX-License-Identifier: Apache-2.0
"""The Image service of a region, over the session of keystoneauth1."""
