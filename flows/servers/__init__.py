"""The servers that a night needs, started and stopped together on one machine."""
