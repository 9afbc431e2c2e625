-- Every worker calls it about once a second; one at a time does the work, and there is no leader to lose. A worker's lease
-- is `lease` ticks that saw no new beat, at most one tick a second however many workers call.
--
-- A thorough one also looks for what nobody tells. What was claimed stays in the index while any snapshot could see it, and with
-- 700,000 such entries that took 0.2 s: each worker spends a twentieth of its time on it at most. Heartbeats do not wait for it.
create function esteira.tick(lease integer default 6, thorough boolean default true) returns integer
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    moment timestamptz;
    strays uuid[] := '{}';
    new_queues text[] := '{}';
    lost uuid[];
    rescued integer;
begin
    if not pg_try_advisory_xact_lock(hashtext('esteira.tick')) then
        return null;
    end if;
    if thorough then
        -- A worker that is gone may hold jobs again: it lived after all, and claimed once more before it knew. Nor may a job hang
        -- on a worker that nobody knows, because somebody deleted it or wrote another name into the job.
        strays := array(
            select distinct job.worker_id
            from esteira.job_live as job
            where job.worker_id is not null
              and not exists (
                select from esteira.worker as worker
                where worker.id = job.worker_id and worker.lost_at is null and worker.stopped_at is null));
        new_queues := array(select esteira.ready_queues(array(select queue.name from esteira.queue as queue)));
    end if;
    -- The clock is read once the rows are held. A tick that waited for them counted as one of long ago, so the next counted at once,
    -- before a worker that had been held up as well could beat.
    perform from esteira.worker as worker
    where worker.lost_at is null and worker.stopped_at is null
    order by worker.id
    for no key update;
    moment := esteira.now();
    update esteira.worker as worker
    set missed_ticks = case when worker.beats > worker.seen_beats then 0 else least(worker.missed_ticks + 1, 1000000) end,
        seen_beats = worker.beats,
        ticked_at = moment
    where worker.lost_at is null and worker.stopped_at is null
      and abs(extract(epoch from moment - worker.ticked_at)) >= 0.9;

    lost := array(
        select worker.id
        from esteira.worker as worker
        where worker.lost_at is null and worker.stopped_at is null and worker.missed_ticks >= lease
        union
        select unnest(strays)
        order by 1);
    -- All their jobs in the order of the ids, as everybody takes them: worker by worker it would be another order.
    perform esteira.disconnect(format('esteira/%s', worker_id)) from unnest(lost) as worker_id;
    perform from esteira.job_live as job
    where job.worker_id = any (lost) and job.status = 'running'
    order by job.id
    for update;
    select coalesce(sum(esteira.rescue(worker_id)), 0) into rescued from unnest(lost) as worker_id;

    perform esteira.maintain_partitions();
    perform esteira.expire();
    insert into esteira.queue (name, created_at)
    select name, moment from unnest(new_queues) as name order by name
    on conflict do nothing;
    delete from esteira.worker as worker
    where coalesce(worker.lost_at, worker.stopped_at) < moment - interval '1 day';
    return rescued;
end
$$;
comment on function esteira.tick(integer, boolean) is
'Maintenance: rescues workers that missed `lease` ticks, makes partitions ahead, expires jobs, forgets workers gone for a day; a thorough one also takes jobs back from workers that are gone or unknown, and notes new queues. Returns how many jobs were taken back; null, having done nothing, while another tick is under way.';
