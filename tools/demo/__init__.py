# SPDX-License-Identifier: Apache-2.0
"""The demonstration behind ``tools/demo.sh``: what is published in one region turns up in all.

It is a user's view. What the agent reports feeds the progress bars and the error messages, and
nothing else: every verdict rests on what the Glances answer to the users alice and bob.
"""
