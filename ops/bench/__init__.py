"""`carbonstream bench`: throughput, latency and what the database alone can take, measured in one run."""
