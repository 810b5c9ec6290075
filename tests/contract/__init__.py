# SPDX-License-Identifier: Apache-2.0
"""One suite for each port, run over the fake and over the real drivers."""
