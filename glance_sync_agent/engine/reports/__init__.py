# SPDX-License-Identifier: Apache-2.0
"""What people and programs are shown of tasks and regions, whoever asks."""
