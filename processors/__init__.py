"""The thinking, pure: values in, values (with their reasons) out.

No I/O, no clock (`now` is an argument), no globals; may import schemas only.
"""
