"""`python -m carbonstream.ops` is `carbonstream`."""

from carbonstream.ops.cli import main

main()
