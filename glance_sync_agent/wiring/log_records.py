# SPDX-License-Identifier: Apache-2.0
"""Log records with their requests, and with an exception only if the caller asked for it."""

import logging
from typing import Any

from glance_sync_agent import request_ids


class PlainRecord(logging.LogRecord):
    """A log record with the id of its request, and without the exception that is in hand.

    oslo.log adds ``sys.exc_info()`` to every warning that is logged in an ``except`` block. It
    sets ``error_summary`` on the record and appends it to the line
    (oslo_log/formatters.py: ContextFormatter.format). Our messages name the exception already.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the ids of the request that this thread works on."""
        super().__init__(*args, **kwargs)
        # The audit middleware leaves a context in its thread, with an id that no request has.
        # oslo.log takes it unless the record has one (its _update_record_with_context).
        self.context = None
        if (served := request_ids.current()) is None:
            return
        # oslo.log then uses logging_context_format_string, which also shows the user.
        self.request_id = served.request_id
        is_first = served.global_id == served.request_id
        self.global_request_id = "-" if is_first else served.global_id
        self.user_identity = "-"

    @property
    def error_summary(self) -> str:
        """The exception that oslo.log appends to the line; empty: none."""
        return str(self.__dict__["error_summary"])

    @error_summary.setter
    def error_summary(self, text: str) -> None:
        # "-" is what oslo.log puts into a format of the operator's if there is none.
        summary = text if self.exc_info or text == "-" else ""
        self.__dict__["error_summary"] = summary  # where formatters look
