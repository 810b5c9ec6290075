# SPDX-License-Identifier: Apache-2.0
"""The one error of the test cloud: a sentence for the person who started it."""


class CloudError(Exception):
    """The cloud cannot do what was asked; the message says why and what was seen."""
