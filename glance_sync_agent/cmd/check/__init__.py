# SPDX-License-Identifier: Apache-2.0
"""The self-test of an installation, one module for each part of the cloud."""
