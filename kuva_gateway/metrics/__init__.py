"""Figures for monitoring: what is counted while receiving, how every figure is called, and who hands them out."""
