# SPDX-License-Identifier: Apache-2.0
"""WSGI applications for other servers, such as uWSGI."""
