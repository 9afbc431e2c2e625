create function esteira.drain(worker_id uuid) returns timestamptz
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
#variable_conflict use_column
declare
    since timestamptz;
begin
    update esteira.worker as worker
    set drain_at = coalesce(worker.drain_at, esteira.now())
    where worker.id = drain.worker_id and worker.lost_at is null and worker.stopped_at is null
    returning worker.drain_at into since;
    if not found then
        raise exception 'no worker % is there to be drained', drain.worker_id using errcode = 'ES010';
    end if;
    return since;
end
$$;
comment on function esteira.drain(uuid) is
'Asks a worker to stop, as SIGTERM does: it claims nothing more, finishes what it runs, and leaves. Returns since when; raises ES010 (no such worker, or it has gone).';
