"""The board in a real browser, against recorded answers of the api. No database, no Kafka: those are tested end to end."""
