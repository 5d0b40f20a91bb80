"""How well the checks find faults: known ones are put into clean series, the processors judge, we count.

Only `carbonstream vee-score` uses it. Chance is seeded; nothing here runs beside a stream.
"""
