"""What the daemon shows of itself: figures for Prometheus, whether it is alive and ready, and alerts."""

from kuva_gateway.monitoring.health import Pulse
from kuva_gateway.monitoring.monitoring import Monitoring, Watched

__all__ = ["Monitoring", "Pulse", "Watched"]
