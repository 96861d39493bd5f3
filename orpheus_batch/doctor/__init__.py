"""Is this machine ready? Checks of what a render needs, and three sentences through the whole line."""

from orpheus_batch.doctor.examination import examine
from orpheus_batch.doctor.findings import Finding, Status, as_table

__all__ = ["Finding", "Status", "as_table", "examine"]
