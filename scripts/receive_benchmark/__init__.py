"""The parts of ``scripts/benchmark-receive``: receivers, senders, workloads, a timed round, the report and the plot."""
