-- A drop needs its table's parent for itself, and whoever comes meanwhile queues up behind it: hence the verb's lock_timeout, and
-- hence the count before it, under a lock that keeps writers out of that one day only. Such a day's steps and attempts are found
-- by remove_orphans.
create function esteira.remove_day(before timestamptz) returns bigint
language plpgsql
as $$
#variable_conflict use_variable
declare
    leaf regclass;
    jobs bigint;
begin
    select day.oid into leaf
    from pg_class as day
    join pg_inherits as inherits on inherits.inhrelid = day.oid
    where inherits.inhparent = 'esteira.job_finished'::regclass
      and day.relname ~ '^job_finished_[0-9]{8}$'
      and day.relname < 'job_finished_' || to_char(before at time zone 'utc', 'YYYYMMDD')
    order by day.relname
    limit 1;
    if leaf is null then
        return 0;
    end if;
    execute format('lock table %s in share mode', leaf);
    execute format('select count(*) from %s', leaf) into jobs;
    execute format('drop table %s', leaf);
    return jobs;
exception
    when lock_not_available or deadlock_detected then
        return 0;
    -- Somebody's view of that day, or a day that somebody else made: the other work goes on.
    when dependent_objects_still_exist or insufficient_privilege then
        raise warning '% cannot be dropped: %', leaf, sqlerrm;
        return 0;
end
$$;
comment on function esteira.remove_day(timestamptz) is
'Internal: drops the oldest day of finished jobs that ended before the moment and returns how many they were; 0 also where a reader is in the way: the next pass tries again.';
