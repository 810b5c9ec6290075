# SPDX-License-Identifier: Apache-2.0
"""The errors of the demo, all of them sentences for the person who started it."""


class DemoError(Exception):
    """Something is not as it should be; the message says what, where, and what was seen."""


class NoAnswer(DemoError):
    """A service did not answer, or answered something that no user can use."""


class Interrupted(KeyboardInterrupt):
    """Somebody wants the demo to end."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.exit_status = 128 + number
