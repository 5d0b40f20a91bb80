"""Checks that know each meter's own habit: profiles learned online, findings per frame. Pure, as all of processors/.

`examine.examine` is called with what `checks.judge` took; nothing here changes what judge decided.
"""
