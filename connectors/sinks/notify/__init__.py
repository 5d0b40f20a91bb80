"""Notices of warnings: the queue in the database, and what sends them (webhook, mail, robots, apprise). No decisions:
those are processors/notices*.py."""
