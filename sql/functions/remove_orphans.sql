-- Whatever else takes a job away, a dropped day or somebody's delete, leaves its steps and attempts behind. A walk along their primary
-- keys finds them, a batch of jobs at a time; ids sort by age, so it looks only at those older than any rule: few of these still live.
create function esteira.remove_orphans(before timestamptz, batch integer) returns bigint
language plpgsql
as $$
#variable_conflict use_column
declare
    since uuid := (select walked_to from esteira.retention);
    until uuid := esteira.uuid7_at(before);
    seen integer;
    last uuid;
    orphans uuid[];
begin
    with part as (
        (select distinct step.job_id from esteira.step as step
         where step.job_id > since and step.job_id < until order by step.job_id limit remove_orphans.batch)
        union
        (select distinct attempt.job_id from esteira.attempt as attempt
         where attempt.job_id > since and attempt.job_id < until order by attempt.job_id limit remove_orphans.batch)
        union
        (select activity.job_id from esteira.activity as activity
         where activity.job_id > since and activity.job_id < until order by activity.job_id limit remove_orphans.batch)
        order by job_id
        limit remove_orphans.batch
    )
    select count(*), (array_agg(part.job_id order by part.job_id desc))[1],
           array_agg(part.job_id) filter (where not exists (select from esteira.job as job where job.id = part.job_id))
    into seen, last, orphans
    from part;
    update esteira.retention as retention
    set walked_to = case when seen = remove_orphans.batch then last else '00000000-0000-0000-0000-000000000000' end;
    return esteira.remove_parts(orphans);
end
$$;
comment on function esteira.remove_orphans(timestamptz, integer) is
'Internal: removes steps, attempts and activity without a job among the next batch of jobs older than the moment; returns how many rows.';
