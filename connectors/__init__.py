"""The edges: sources into Kafka, sinks out of Kafka, and the clients they share.

May import schemas and processors; never streams, api or ops.
"""
