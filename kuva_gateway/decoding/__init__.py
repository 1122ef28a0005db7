"""Compressed pixels decoded in a process of their own, whose result is believed only when two decoders agree on it.

What the daemon imports of this (``image``, ``process``) knows nothing of codecs; the process alone imports them.
"""
