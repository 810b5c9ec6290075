# SPDX-License-Identifier: Apache-2.0
"""One attempt to bring one copy up to date, and the worker that runs attempts."""
