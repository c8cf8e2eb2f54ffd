"""The credentials that sources name: a JSON file of the operators, read again when it changes.

::

    {
        "team-docs": {
            "access_key_id": "...",
            "secret_access_key": "...",
            "endpoint": "https://s3.example.org",
            "region": "eu-central-1",
        }
    }
"""

from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from embedder.adapters.source_reading import away

__all__ = ["CredentialsFile", "SourceCredentials"]

_MOST_BYTES: Final = 1024 * 1024
_Stat = tuple[int, int, int]


class SourceCredentials(BaseModel):
    """How an S3 service is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    access_key_id: Annotated[str, StringConstraints(min_length=1)]
    secret_access_key: SecretStr
    endpoint: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")] | None = None
    """URL of a service other than AWS."""
    region: str = "us-east-1"
    allow_http: bool = False
    """Whether the endpoint may be plain http: documents then travel in the clear."""

    @model_validator(mode="after")
    def _is_encrypted_unless_allowed(self) -> Self:
        if self.endpoint and self.endpoint.startswith("http://") and not self.allow_http:
            raise ValueError("its endpoint is plain http: use https, or set allow_http")
        return self


_NAMED: Final = TypeAdapter(dict[str, SourceCredentials])


class CredentialsFile:
    """Names to credentials; None for a deployment without such a file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._read: tuple[_Stat, dict[str, SourceCredentials]] | None = None

    def named(self, name: str) -> SourceCredentials:
        """Return credentials as the file has them now. Blocks for one small read at most.

        Raises:
            SourceError: ``source_unavailable``: there are none of that name, or the file cannot be
                read; the message names no value of it.
        """
        if self._path is None:
            raise away(
                f"the source names credentials {name!r}, and no SOURCE_CREDENTIALS_FILE is set: "
                "ask the operators to set it"
            )
        found = self._current(self._path).get(name)
        if found is None:
            raise away(
                f"SOURCE_CREDENTIALS_FILE has no credentials {name!r}: ask the operators to add "
                "them, or correct the name in the cabinet's settings"
            )
        return found

    def _current(self, path: Path) -> dict[str, SourceCredentials]:
        try:
            stat = path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if self._read is not None and self._read[0] == seen:
                return self._read[1]
            if stat.st_size > _MOST_BYTES:
                raise away(f"SOURCE_CREDENTIALS_FILE is larger than {_MOST_BYTES} bytes")
            named = _NAMED.validate_json(path.read_bytes())
        except OSError as error:
            raise away(
                f"SOURCE_CREDENTIALS_FILE cannot be read ({error.strerror}): ask the operators to "
                "mount it where the embedder can read it"
            ) from error
        except ValidationError as error:
            # Not chained: the cause would show the file's content.
            raise away(f"SOURCE_CREDENTIALS_FILE is wrong: {_problems(error)}") from None
        self._read = (seen, named)
        return named


def _problems(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        f"{'.'.join(str(part) for part in each['loc']) or 'file'}: {each['msg']}"
        for each in found[:3]
    )
