"""A simulated park of the eight energy-intensive industries: `park` tells what stands there, `live` sends."""

from carbonstream.connectors.sources.simulate.live import live_park, send_between
from carbonstream.connectors.sources.simulate.park import DEMO_PARK, Park, build_park, meters_csv, sites_csv

__all__ = ["DEMO_PARK", "Park", "build_park", "live_park", "meters_csv", "send_between", "sites_csv"]
