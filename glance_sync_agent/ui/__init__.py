# SPDX-License-Identifier: Apache-2.0
"""The page at ``/ui/``: a client of the REST API in the same process.

It reads and changes nothing but through the API, with the token of the user who looks at it.
"""
