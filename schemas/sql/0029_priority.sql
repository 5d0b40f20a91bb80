-- Priority is the rule's (ISA-18.2); what went by this name is the class. Where no rule says it, an alarm is high, an
-- alert medium, a notice low.
drop index warning_operator_list, warning_operator_state, warning_operator_parent;
alter table warning_operator rename column priority to class;    -- 1 alarm, 2 alert, 3 notice
alter table warning_operator add column priority smallint;       -- 1 high, 2 medium, 3 low
update warning_operator set priority = class;
update warning_operator o set priority = array_position(array['high', 'medium', 'low'], w.priority)
from warning w where w.id = o.id and w.priority is not null;
alter table warning_operator alter column priority set not null;

alter table warning_operation rename column priority to class;
alter table warning_operation add column priority smallint;
alter table warning_operation disable trigger append_only;
update warning_operation set priority = class;
update warning_operation w set priority = o.priority from warning_operator o
where o.id = w.warning and o.priority <> w.class;
alter table warning_operation enable trigger append_only;
alter table warning_operation alter column priority set not null;

-- The operators' list: of one cause, or of what has none.
create index warning_operator_list on warning_operator (parent, rank, priority, class, since desc, id);
create index warning_operator_state on warning_operator (state) where state <> 'normal';
