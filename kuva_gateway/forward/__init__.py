"""The way out to one destination: which contexts, sending, what an answer means, asking for storage commitment."""
