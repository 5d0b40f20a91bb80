"""The board in a real browser, against recorded answers of the api: no database, no Kafka."""
