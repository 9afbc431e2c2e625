"""What is wrong with an installation, and what to do about it.

- finding.py: what a check says
- site.py: what the checks look at
- queries.py: all of their SQL
- server.py, vacuum.py, schema.py, wakeups.py, workers.py, queues.py: the checks, a function each
- examination.py: all of them in their order
"""

from esteira.doctor.examination import examine
from esteira.doctor.finding import Finding, Level

__all__ = ["Finding", "Level", "examine"]
