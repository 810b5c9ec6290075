# SPDX-License-Identifier: Apache-2.0
"""The Identity service, by keystoneauth1."""
