-- Which warnings are one alarm: of instant rules and common causes every episode is a warning, and its id ends with its
-- time. Shelf, out of service and the health of the alarm system hang on the alarm (processors/alarm_keys.py).
alter table warning_operator add column key text;
update warning_operator set key = case
  when rule in ('silence', 'interval-limit', 'maximum-demand', 'data-quality', 'habit', 'common-cause')
  then regexp_replace(id, ':[^:]*$', '') else id end;
alter table warning_operator alter column key set not null;
create index warning_operator_key on warning_operator (key, id);
