"""Receiving: listening, and serving associations in this process or in several of their own.

Keeps the wiring of network, services and spool that every such process has. Promises that an arrival is told of before
it is acknowledged, that limits count all processes together, and that the end of a receiving process loses nothing.
"""

from kuva_gateway.receiving.crew import Crew
from kuva_gateway.receiving.here import Here
from kuva_gateway.receiving.reception import Hooks, Passed, Reception, reception

__all__ = ["Crew", "Here", "Hooks", "Passed", "Reception", "reception"]
