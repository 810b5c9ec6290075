# SPDX-License-Identifier: Apache-2.0
"""The one error of the test cloud. Its message is a sentence for the user."""


class CloudError(Exception):
    """The cloud refuses or fails; the message says why and what was seen."""
