"""What brings readings into meter.readings: one module a system."""
