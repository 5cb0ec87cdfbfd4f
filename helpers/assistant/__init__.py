"""The system that the course improves: an assistant that answers questions about installed libraries."""

from .agent import Answer, Assistant, Source
from .config import GUIDE, Config

__all__ = ["GUIDE", "Answer", "Assistant", "Config", "Source"]
