-- The one way back from running to queued, so that a cancel asked for meanwhile is never lost: such a job is cancelled.
create function esteira.requeue(ids uuid[], run_at timestamptz, moment timestamptz) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    asked uuid[] := array(
        select job_id from esteira.activity
        where job_id = any (requeue.ids) and cancel_requested_at is not null);
begin
    if cardinality(asked) > 0 then
        perform esteira.finish(asked, 'cancelled', 'cancelled', moment);
    end if;
    update esteira.job_live as job
    set status = 'queued', worker_id = null, engine = null, updated_at = moment,
        run_at = coalesce(requeue.run_at, job.run_at),
        ready_at = greatest(coalesce(requeue.run_at, job.run_at), moment)
    where job.id = any (requeue.ids);
end
$$;
comment on function esteira.requeue(uuid[], timestamptz, timestamptz) is
'Internal: puts locked running jobs back into their queues, or cancels those that somebody asked to stop. run_at null keeps theirs.';
