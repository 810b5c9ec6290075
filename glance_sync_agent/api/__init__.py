# SPDX-License-Identifier: Apache-2.0
"""The REST API: what programs and people ask from outside, and how it is answered.

``operations`` is the table of all requests. The routes, the checks and the OpenAPI document are
made from it.
"""
