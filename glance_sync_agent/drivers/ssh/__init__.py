# SPDX-License-Identifier: Apache-2.0
"""SSH hosts of the regions; the only door of paramiko.

``logins`` logs in. ``hosts`` keeps one connection to each host for all transfers. ``channels``
and ``files`` open a TCP connection and a file there. The agent runs no command, so the account
needs no shell.
"""
