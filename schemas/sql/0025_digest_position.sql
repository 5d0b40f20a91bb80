-- A digest tells what was inserted since the one before, whatever time it bears: warn's tick lags behind the clock.
alter table warning_history add column seq bigint generated always as identity;
create unique index warning_history_seq on warning_history (seq);
alter table notice_subscription
  add column digest_until timestamptz,        -- when the last digest was made; null: not begun
  add column digest_seq bigint;               -- of warning_history: the last change it may have told of
comment on column notice_subscription.digest_day is 'local day from whose digest time on the first digest tells';
