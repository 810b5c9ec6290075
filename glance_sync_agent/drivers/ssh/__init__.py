# SPDX-License-Identifier: Apache-2.0
"""SSH hosts of the regions; the only door of paramiko.

``logins`` says how to get in, ``hosts`` keeps one connection to each host for all transfers,
``channels`` and ``files`` are what can be opened there: a TCP connection and a file. No command
is ever run, so the account needs no shell.
"""
