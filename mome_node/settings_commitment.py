"""Settings of storage commitment."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mome_node.settings_values import Number, Section


class CommitmentSettings(Section):
    """Storage commitment: peers ask us to confirm what they sent, and are told what is here."""

    wait_s: Annotated[float, Number, Field(ge=0, le=3600)] = Field(
        30.0,
        description="An instance that is asked for and has not come is waited for so long before "
        "it is reported as missing.",
    )
    digest_mb: Annotated[int, Number, Field(ge=0, le=1 << 20)] = Field(
        4096,
        description="So much of one request is read again and compared by SHA-256; of what goes "
        "beyond only that the file is there, and its size.",
    )
    give_up_h: Annotated[float, Number, Field(gt=0, le=30 * 24)] = Field(
        72.0, description="A report that the peer does not take is tried again for so many hours."
    )
