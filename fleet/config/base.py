"""What all models of the configuration have in common."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from fleet.config.rules import RULES


class Model(BaseModel):
    """Frozen and strict: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        rule = RULES.get(type(self).__name__)
        if rule is not None and (wrong := rule(self.__dict__)) is not None:
            raise ValueError(wrong)
        return self
