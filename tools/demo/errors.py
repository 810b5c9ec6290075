# SPDX-License-Identifier: Apache-2.0
"""The errors of the demo. Their messages are sentences for the user."""


class DemoError(Exception):
    """Something is wrong; the message says what, in which region, and what was seen."""


class NoAnswer(DemoError):
    """A service did not answer, or its answer was an error."""


class Interrupted(KeyboardInterrupt):
    """A signal ended the demo."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.exit_status = 128 + number
