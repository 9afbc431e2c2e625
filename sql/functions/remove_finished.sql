-- For queues that keep less than the days are kept. Each goes on where it stopped last: deleted index entries stay until vacuum, and
-- stepping over them at every batch would be quadratic under a held snapshot. Once a day it begins at the beginning, for what was
-- committed late.
create function esteira.remove_finished(longest interval, moment timestamptz, batch integer) returns bigint
language plpgsql
as $$
#variable_conflict use_column
declare
    own text[] := array(select queue.name from esteira.queue as queue where queue.keep_finished is not null);
    rule record;
    ids uuid[];
    last timestamptz;
    removed bigint := 0;
begin
    for rule in
        select null as queue, retention.finished_kept_from as came_to, moment - retention.finished as until
        from esteira.retention as retention
        where retention.finished < longest
        union all
        select queue.name, queue.finished_kept_from, moment - queue.keep_finished
        from esteira.queue as queue
        where queue.keep_finished < longest
        order by queue
    loop
        select array_agg(id), max(finished_at) into ids, last
        from esteira.expired(rule.queue, own, coalesce(rule.came_to, '-infinity'), rule.until, (batch - removed)::integer);
        -- By their ids alone, in every day: with the times beside them a plan may read all that ended in between.
        delete from esteira.job_finished as job where job.id = any (ids);
        perform esteira.remove_parts(ids);
        removed := removed + coalesce(cardinality(ids), 0);
        rule.came_to := case
            when removed >= batch then last
            when rule.came_to is null or date_trunc('day', rule.came_to) = date_trunc('day', rule.until) then rule.until
        end;
        update esteira.queue as queue set finished_kept_from = rule.came_to where queue.name = rule.queue;
        update esteira.retention as retention set finished_kept_from = rule.came_to where rule.queue is null;
        exit when removed >= batch;
    end loop;
    return removed;
end
$$;
comment on function esteira.remove_finished(interval, timestamptz, integer) is
'Internal: removes a batch of completed and cancelled jobs whose queue keeps them for less than the longest rule; returns how many.';
