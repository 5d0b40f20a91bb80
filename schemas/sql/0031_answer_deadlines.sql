-- Which deadlines of its answers an enterprise was told of: once while there is time, once when it is over.
create table notice_deadline (
  subscription text not null references notice_subscription,
  warning text not null,
  step text not null,
  due_at timestamptz not null,
  urgency text not null check (urgency in ('reminder', 'overdue')),
  notice text not null,            -- kept no longer than other notices
  told_at timestamptz not null,
  primary key (subscription, warning, step, due_at, urgency)
);
create index warning_operator_awaited on warning_operator (id)
  where answer is not null and answer ->> 'closure' is null and answer ->> 'respond_ms' is not null;
alter table notice drop constraint notice_kind_check,
  add constraint notice_kind_check check (kind in ('changed', 'escalated', 'digest', 'test', 'deadline'));
grant select on notice_deadline to carbonstream_read;
