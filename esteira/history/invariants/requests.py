"""What clients asked for and what came of it: No phantom, Idempotency."""

from __future__ import annotations

from collections.abc import AsyncIterator

from esteira.history.evidence import Evidence
from esteira.history.invariants.invariant import Breach, Invariant

# A request may have stored a job each time that it was sent and its answer is not known.
PHANTOM = """
with request as (
    select request,
        count(*) filter (where kind = 'sent')
        - count(*) filter (where kind in ('acknowledged', 'refused', 'rolled_back')) as open,
        max(kind) filter (where kind in ('refused', 'rolled_back')) as outcome
    from history_ledger where request is not null group by request
), enqueued as (
    select job_id, number, request, row_number() over (partition by request order by number) as place
    from esteira_history.transition
    -- As enqueued: a job that changed its partition by a retry is of a later generation.
    where operation = 'INSERT' and status = 'queued' and attempt = 0 and generation = 1
      and job_id not in (select job_id from history_ledger where kind = 'acknowledged' and job_id is not null)
)
select enqueued.job_id, enqueued.number, enqueued.request, request.request is not null as known, request.outcome
from enqueued
left join request on request.request = enqueued.request
where case when request.request is null then $1 else enqueued.place > request.open end
order by enqueued.number
limit 1
"""
ROLLED_BACK = """
select line.job_id, line.place, min(seen.number) as number
from history_ledger as line
join esteira_history.transition as seen on seen.job_id = line.job_id
where line.kind = 'rolled_back' and line.names_job
group by line.job_id, line.place
order by number
limit 1
"""
# A key lives from its first use until it is used anew 24 h later: then it is another.
MOVED = """
select key, min(number) as number, (array_agg(job_id order by number))[1] as job_id,
       (array_agg(job_id order by number desc))[1] as other
from (
    select distinct on (key, created_at, xid) key, created_at, job_id, number
    from esteira_history.key where operation <> 'DELETE'
    -- The job that a unique key leads to is put in within the same transaction.
    order by key, created_at, xid, number desc
) as answer
group by key, created_at
having count(distinct job_id) > 1
order by number
limit 1
"""
REMOVED = """
select gone.key, gone.number, gone.job_id, extract(epoch from gone.at - gone.created_at)::float8 as seconds
from esteira_history.key as gone
where gone.operation = 'DELETE' and gone.at < gone.created_at + interval '24 h'
  -- A request that was refused for its unique key leaves none behind.
  and not exists (
      select from esteira_history.key as came
      where came.key = gone.key and came.xid = gone.xid and came.operation = 'INSERT')
order by gone.number
limit 1
"""
TWO_JOBS = """
with used as (
    select request.key, found.job_id, found.number
    from (select distinct request, key from history_ledger where kind = 'sent' and key is not null) as request
    join (
        select request, job_id, 0 as number from history_ledger where kind = 'acknowledged'
        union
        select request, job_id, number from esteira_history.transition
        where request is not null and operation = 'INSERT' and status = 'queued' and attempt = 0
    ) as found on found.request = request.request
), lives as (
    select key, count(*) filter (where before is null or created_at >= before + interval '24 h') as lives
    from (
        select key, created_at, lag(created_at) over (partition by key order by created_at) as before
        from esteira_history.key where operation <> 'DELETE' group by key, created_at
    ) as used
    group by key
)
select used.key, array_agg(distinct used.job_id) as jobs, max(used.number) as number
from used
left join lives on lives.key = used.key
group by used.key, lives.lives
having count(distinct used.job_id) > greatest(lives.lives, 1)
order by number
limit 1
"""
TWO_BODIES = """
select sent.key, answer.job_id, min(answer.place) as place
from history_ledger as sent
join history_ledger as answer on answer.request = sent.request and answer.kind = 'acknowledged'
where sent.kind = 'sent' and sent.key is not null and sent.body is not null
group by sent.key, answer.job_id
having count(distinct sent.body) > 1
order by place
limit 1
"""


class NoPhantom(Invariant):
    """A job comes of a request that was acknowledged or whose answer is unknown; what was rolled back is never seen."""

    name = "No phantom"

    def not_checked(self) -> str | None:
        """Ask for a ledger."""
        return None if self.terms.has_ledger else "only a ledger knows what was asked for: --ledger FILE"

    async def end(self, evidence: Evidence) -> AsyncIterator[Breach]:
        """Look for jobs that nobody asked for."""
        for row in await evidence.rows(PHANTOM, self.terms.whole_ledger):
            if row["known"]:
                fate = {"refused": "was refused", "rolled_back": "was rolled back"}.get(row["outcome"], "made another")
                sentence = f"it was enqueued by the request {row['request']}, which {fate}"
            else:
                sentence = "it was enqueued, and the ledger knows no request for it"
            yield Breach(sentence, row["number"], row["job_id"])
        for row in await evidence.rows(ROLLED_BACK):
            yield Breach(f"it was rolled back (line {row['place']} of the ledger)", row["number"], row["job_id"])


class Idempotency(Invariant):
    """An idempotency key has one job for 24 hours, and another request with it is refused."""

    name = "Idempotency"

    async def end(self, evidence: Evidence) -> AsyncIterator[Breach]:
        """Look for keys with two jobs or two requests, and for keys that were forgotten too early."""
        for row in await evidence.rows(MOVED):
            sentence = f'the idempotency key "{row["key"]}" had this job, and then job {row["other"]}'
            yield Breach(sentence, row["number"], row["job_id"])
        for row in await evidence.rows(REMOVED):
            sentence = f'its idempotency key "{row["key"]}" was removed after {row["seconds"]:.0f} s'
            yield Breach(sentence, row["number"], row["job_id"])
        for row in await evidence.rows(TWO_JOBS):
            first, *others = row["jobs"]
            sentence = f'the idempotency key "{row["key"]}" has this job and {", ".join(map(str, others))}'
            yield Breach(sentence, row["number"], first)
        for row in await evidence.rows(TWO_BODIES):
            sentence = f'two requests that ask for different things with the key "{row["key"]}" were answered with it'
            yield Breach(sentence, job_id=row["job_id"])
