"""Define the base class of the parts of a record.

Usage:
    class Measures(RecordPart): ...
"""

from pydantic import BaseModel, ConfigDict


class RecordPart(BaseModel):
    """A part of a record: immutable, and ignoring fields that a newer version adds."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")
