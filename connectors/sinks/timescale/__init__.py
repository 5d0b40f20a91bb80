"""carbon.emissions into TimescaleDB: ONE transaction a batch for rows, totals, ledger, change marks and positions."""
