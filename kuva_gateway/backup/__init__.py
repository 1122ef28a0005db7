"""Backups of a gateway that runs, and what is made of one when the gateway's own disk is lost."""
