"""The audit trail: who did what to whose images, as PS3.15 A.5 messages in append-only files, and their delivery.

It needs no catalog: what happens while that is away is written down all the same. Nothing here may stop an image.
"""
