"""Server-sent events from carbon.totals and carbon.warnings: one Kafka reader, any number of browsers.

feed reads Kafka in a thread; hub and ring keep what came last, serialised once; a subscription takes from the
ring at its own pace; resume finds where a client that comes back has to go on.
"""
