"""Sources of frames: every source type behind one small interface."""

from vigil_stream.capture.errors import SourceError
from vigil_stream.capture.factory import make_source
from vigil_stream.capture.source import Sampler, Source, SourceInfo, Watchdog

__all__ = ["Sampler", "Source", "SourceError", "SourceInfo", "Watchdog", "make_source"]
