"""A wrong multiplier corrected in the past: what it changes, two persons' decision, and the intervals once more."""
