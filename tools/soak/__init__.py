# SPDX-License-Identifier: Apache-2.0
"""Users who work and things that break, both by chance, and a judge who believes nobody.

A run has a plan for each of several lanes, made of a seed and of nothing else; each lane works
its plan off in a thread of its own. So a seed repeats what is done and in which order, but not
the moment at which an agent does what.
"""
