"""The status page: a process of its own, which reads and never writes, and shows nothing of any patient."""
