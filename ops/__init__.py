"""Running it: command line, supervisor, local servers, benchmarks, demo. May import everything of ours."""
