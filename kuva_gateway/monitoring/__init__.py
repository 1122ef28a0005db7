"""What the daemon shows of itself: figures for Prometheus, whether it is alive and ready, and alerts."""
