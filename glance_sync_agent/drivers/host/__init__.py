# SPDX-License-Identifier: Apache-2.0
"""What the agent knows of the machine that it runs on."""
