-- Second ways of a notice: backup channels (fail-over, escalation), and the daily digest.
alter table notice_private.channel add column is_backup boolean not null default false;
alter table notice_subscription
  add column digest_at time,                  -- local; null: no daily digest
  add column digest_day date;                 -- local day of the last one
alter table notice
  add column kind text not null default 'changed' check (kind in ('changed', 'escalated', 'digest')),
  add column content jsonb;                   -- of escalated and digest; the changes of others stand in notice_change
alter table notice_change add column escalated_at timestamptz;  -- the alarm was not acknowledged in time
create index notice_change_warning on notice_change (warning, version);  -- whose alarm is not acknowledged, each second
-- A delivery that failed is handed to the next channel once.
alter table notice_delivery add column handed_over boolean not null default false;
update notice_delivery set handed_over = true where state = 'dead';
create index notice_delivery_failed on notice_delivery (channel) where state = 'dead' and not handed_over;

-- The API subscribes, ends, tests and re-sends as carbonstream_command. It gives new webhooks their secret and can read
-- none: the test goes through the queue, so that notify alone calls anybody.
alter table notice drop constraint notice_kind_check,
  add constraint notice_kind_check check (kind in ('changed', 'escalated', 'digest', 'test'));
grant usage on schema notice_private to carbonstream_command;
grant select (id, subscription, kind, address, disabled, failures, pause_until, is_backup),
  insert (subscription, kind, address, secret, is_backup), update (disabled, is_backup, failures, pause_until)
  on notice_private.channel to carbonstream_command;
grant select, insert, update on notice_subscription to carbonstream_command;
grant select, insert on notice to carbonstream_command;
grant select, insert, update on notice_delivery to carbonstream_command;
grant select on entity, notice_change to carbonstream_command;
