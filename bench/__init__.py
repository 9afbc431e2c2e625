"""Measure Esteira and its peers on this machine: `make bench`.

- registry.py: which systems and scenarios there are; each is one file in systems/ or scenarios/
- system.py, scenario.py: what such a file is to give
- run.py: rounds in turns; measured.py: their medians and ratios; report.py, plots.py: what people read
- session.py: one system on a database of its own: enqueue, work, wait, check
- ledger.py, program.py: what runs inside the systems' own processes; nothing but Python's standard library
- servers.py, peers.py: PostgreSQL and Redis; the peers' environments
"""
