# SPDX-License-Identifier: Apache-2.0
"""Answers that a browser may have already."""

import hashlib

import falcon


def respond(
    request: falcon.Request, response: falcon.Response, content: bytes, content_type: str
) -> None:
    """Answer with a content and its ETag, or with 304 if the browser has it."""
    digest = hashlib.sha256(content).hexdigest()[:32]
    response.etag = digest
    if digest in (request.if_none_match or []):
        response.status = falcon.HTTP_304
    else:
        response.content_type = content_type
        response.data = content
