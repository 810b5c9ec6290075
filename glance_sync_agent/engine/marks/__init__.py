# SPDX-License-Identifier: Apache-2.0
"""Images that bear a mark, and how an operator settles whose they are."""
