-- One bounded unit of each work. The day comes last: dropping it locks the history for as long as the transaction goes on.
-- Locks of others are waited for 100 ms at most, since whoever comes meanwhile waits behind us; the next pass tries again.
create function esteira.retain(batch integer default 5000, every interval default '0') returns bigint
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set jit = off
set lock_timeout = '100ms'
as $$
#variable_conflict use_column
declare
    -- A fake clock that is not the owner's could have all of history dropped.
    moment timestamptz := case when pg_has_role(session_user, current_user, 'usage') then esteira.now() else clock_timestamp() end;
    longest interval;
    jobs bigint;
    letters bigint;
    others bigint;
begin
    if retain.batch < 1 then
        raise exception 'a batch has at least one job, not %', retain.batch using errcode = 'ES004';
    end if;
    if not pg_try_advisory_xact_lock(hashtext('esteira.retain')) then
        return 0;
    end if;
    insert into esteira.retention default values on conflict do nothing;
    update esteira.retention as retention
    set retained_at = moment
    where retention.retained_at not between moment - retain.every and moment or retain.every = '0'
    returning greatest(retention.finished, (select max(queue.keep_finished) from esteira.queue as queue)) into longest;
    if not found then
        return 0;
    end if;
    jobs := esteira.remove_finished(longest, moment, batch);
    letters := esteira.remove_dead(moment, batch);
    others := esteira.remove_orphans(moment - longest, batch);
    others := others + esteira.remove_keys(moment - interval '24 h', batch);
    jobs := jobs + esteira.remove_day(moment - longest);
    update esteira.retention as retention
    set finished_removed = retention.finished_removed + jobs, dead_removed = retention.dead_removed + letters;
    return jobs + letters + others;
end
$$;
comment on function esteira.retain(integer, interval) is
'Removes what is older than its rule (esteira.set_retention), about a batch of each kind and one whole day, unless it ran within `every`. Returns how much it removed: a full batch means that there is more.';
