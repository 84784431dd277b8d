"""What was served, and what was answered: an append-only log of several processes.

A server appends (`ServedLog`), others read (`read_served`, `read_losses`).
"""

from components.served_log.log import ServedLog
from components.served_log.read import read_losses, read_served

__all__ = ["ServedLog", "read_losses", "read_served"]
