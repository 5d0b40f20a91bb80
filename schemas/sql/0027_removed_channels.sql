-- Who removes a channel takes its lease away, so that an attempt under way cannot switch it on again.
grant select (lease), update (lease) on notice_private.channel to carbonstream_command;
