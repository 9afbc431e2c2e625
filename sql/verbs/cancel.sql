create function esteira.cancel(id uuid) returns text
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    answer text;
begin
    -- Retried between the two looks, it lives again.
    loop
        select cancelled.status into answer from esteira.cancel_many(array[cancel.id]) as cancelled;
        if found then
            return answer;
        end if;
        select job.status into answer from esteira.job as job where job.id = cancel.id;
        if not found then
            perform esteira.missing(cancel.id);
        elsif answer in ('completed', 'dead', 'cancelled') then
            raise exception 'job % is %, so there is nothing to cancel', cancel.id, answer using errcode = 'ES002';
        end if;
    end loop;
end
$$;
comment on function esteira.cancel(uuid) is
'Cancels a queued or waiting job at once and returns cancelled; asks a running one to stop and returns running. Raises ES001 (no such job), ES002 (it has ended).';
