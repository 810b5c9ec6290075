# SPDX-License-Identifier: Apache-2.0
"""Development tools: the test cloud; nothing here is installed with the agent."""
