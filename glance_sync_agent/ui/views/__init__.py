# SPDX-License-Identifier: Apache-2.0
"""What each view shows: values of the API, in words.

A view is an object of texts, flags and lists. The template writes it into the page, and the
module in the browser writes newer ones over it, so nothing is worded twice. Each item of a
list has a ``key``.
"""
