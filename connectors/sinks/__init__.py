"""What carries topics out of Kafka: one module a system."""
