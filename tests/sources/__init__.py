"""Sources, on a real Kafka."""
