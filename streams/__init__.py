"""The wiring: Faust agents, warn, ticker, relay, reference caches, state recovery.

Decisions live in processors; here they meet Kafka and the database.
"""
