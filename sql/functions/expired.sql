-- Two statements, since the queue must be a condition of the index: entries of other queues are then passed by without a look at
-- their rows.
create function esteira.expired(queue text, others text[], since timestamptz, until timestamptz, batch integer)
returns table (id uuid, finished_at timestamptz)
language plpgsql
as $$
#variable_conflict use_column
begin
    if expired.queue is not null then
        return query
        select job.id, job.finished_at
        from esteira.job_finished as job
        where job.finished_at >= expired.since and job.finished_at < expired.until and job.queue = expired.queue
        order by job.finished_at
        limit expired.batch
        for update skip locked;
    else
        return query
        select job.id, job.finished_at
        from esteira.job_finished as job
        where job.finished_at >= expired.since and job.finished_at < expired.until and job.queue <> all (expired.others)
        order by job.finished_at
        limit expired.batch
        for update skip locked;
    end if;
end
$$;
comment on function esteira.expired(text, text[], timestamptz, timestamptz, integer) is
'Internal: locks the first of the jobs that ended in that time, of one queue, or of all but the others; returns them.';
