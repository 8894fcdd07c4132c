"""`dibs doctor`: looks at everything that dibs stands on, and says how to mend what is not as it should be."""

from dibs.doctor.examination import examine
from dibs.doctor.findings import show

__all__ = ["examine", "show"]
