create function esteira.discard(id uuid) returns uuid
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    seen text;
begin
    -- It may die between the two looks.
    loop
        perform esteira.discard_many(array[discard.id]);
        if found then
            return id;
        end if;
        select job.status into seen from esteira.job as job where job.id = discard.id;
        if not found then
            perform esteira.missing(discard.id);
        elsif seen <> 'dead' then
            raise exception 'job % is %; only dead jobs can be discarded', discard.id, seen using errcode = 'ES002';
        end if;
    end loop;
end
$$;
comment on function esteira.discard(uuid) is
'Removes a dead job with its steps and attempts, for good. Returns its id; raises ES001 (no such job), ES002 (another status).';
