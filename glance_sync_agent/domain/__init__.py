# SPDX-License-Identifier: Apache-2.0
"""What an image, a task and a decision are.

Pure: no I/O, no clock, no configuration, no logging. Time and chance come in as arguments.
"""
