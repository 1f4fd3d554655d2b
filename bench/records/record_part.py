"""What the parts of a record have in common.

Usage:
    class Measures(RecordPart): ...
"""

from pydantic import BaseModel, ConfigDict


class RecordPart(BaseModel):
    """A part of a record: immutable, and read without the fields that a newer version adds."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")
