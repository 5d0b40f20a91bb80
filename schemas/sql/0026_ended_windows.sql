-- A calendar whose last window is over has ended: it is not looked at again, and no hand-over lists it. warn ends them
-- from now on; these were over before.
update warning_suppression set ended_at = greatest("end", made_at), ended_why = 'its last window is over'
where ended_at is null and start is not null and changes_at is null and not in_force;
