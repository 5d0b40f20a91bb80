"""`python -m carbonstream.ops.local`: the commands of `carbonstream local` by themselves."""

from carbonstream.ops.local.commands import app

app()
