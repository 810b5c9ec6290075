# SPDX-License-Identifier: Apache-2.0
"""Log records that show an exception only if the caller asked for it."""

import logging


class PlainRecord(logging.LogRecord):
    """A log record without the exception that happens to be in hand.

    oslo.log adds ``sys.exc_info()`` to every warning that is logged in an ``except`` block. It
    sets ``error_summary`` on the record and appends it to the line
    (oslo_log/formatters.py: ContextFormatter.format). Our messages name the exception already.
    """

    @property
    def error_summary(self) -> str:
        """The exception that oslo.log appends to the line; empty: none."""
        return str(self.__dict__["error_summary"])

    @error_summary.setter
    def error_summary(self, text: str) -> None:
        # "-" is what oslo.log puts into a format of the operator's if there is none.
        summary = text if self.exc_info or text == "-" else ""
        self.__dict__["error_summary"] = summary  # where formatters look
