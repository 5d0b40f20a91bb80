"""The HTTP face: reads for the board and other systems, the live stream, sign-in. `board/` is the web page.

Everything here reads with the role carbonstream_read; numbers are decided in schemas/sql and processors, never here.
"""
