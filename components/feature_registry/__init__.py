"""The registry of features: what is declared, in which versions, and who reads it."""

from components.feature_registry.records import KINDS, Record, Training, Use
from components.feature_registry.registry import Applied, Registry

__all__ = ["KINDS", "Applied", "Record", "Registry", "Training", "Use"]
