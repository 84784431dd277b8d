"""Serves entity models over the Open Inference Protocol (V2), on KServe."""

from components.model_server.config import ServerConfig
from components.model_server.server import serve

__all__ = ["ServerConfig", "serve"]
