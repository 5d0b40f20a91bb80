"""How hard hypothesis tries: HYPOTHESIS_PROFILE=ci tries harder."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("usual", max_examples=200, deadline=None, suppress_health_check=SLOW)
settings.register_profile("ci", max_examples=2_000, deadline=None, suppress_health_check=SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))
