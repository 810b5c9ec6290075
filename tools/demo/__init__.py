# SPDX-License-Identifier: Apache-2.0
"""The demonstration of ``tools/demo.sh``: an image of one region arrives in all regions.

It shows a user's view. The reports of the agent only feed the progress bars and the error
messages. Every verdict rests on the answers of the Glances to the users alice and bob.
"""
