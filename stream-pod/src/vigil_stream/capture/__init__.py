"""Where pictures come from: every source type behind one small interface."""

from vigil_stream.capture.errors import SourceError
from vigil_stream.capture.factory import make_source
from vigil_stream.capture.source import Guard, Sampler, Source, SourceInfo

__all__ = ["Guard", "Sampler", "Source", "SourceError", "SourceInfo", "make_source"]
