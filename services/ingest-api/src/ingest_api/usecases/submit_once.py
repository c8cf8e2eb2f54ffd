"""Accept a document under an Idempotency-Key: however often it is sent, it counts once.

Without locks: whoever comes writes down what the key is to become, create-if-absent, and whoever
finds that written finishes it. So a request that died half-way is finished by its repetition, and
of many at once all answer the same.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from ingest_api.domain.idempotency import Claim, request_digest
from ingest_api.ports import Claims
from ingest_api.usecases.submit import Acceptance, StoredBody, Submit
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.errors import RequestError
from kartoteka_contracts.ids import CabinetId
from kartoteka_contracts.keys import claim_key
from kartoteka_contracts.records import DocumentRecord

__all__ = ["SubmitOnce"]


class SubmitOnce:
    """Takes the documents of one request in.

    Args:
        submit: takes in what no earlier request did.
        claims: what keys stand for.
        key_id: the public part of the API key: two callers' keys never meet.
        key: the Idempotency-Key of a document, by its external id.
    """

    def __init__(
        self, submit: Submit, claims: Claims, *, key_id: str, key: Callable[[str], str]
    ) -> None:
        self._submit = submit
        self._claims = claims
        self._key_id = key_id
        self._key = key
        self._found: dict[str, Claim] = {}

    def check(self) -> None:
        """Refuse at once what could not be finished. Raises UnavailableError."""
        self._submit.check()

    async def store(
        self,
        cabinet: AuthorisedCabinet,
        chunks: AsyncIterator[bytes],
        *,
        external_id: str,
        filename: str,
    ) -> StoredBody:
        """Stream a body to object storage; where the key has one already, only hash it.

        Raises as :meth:`Submit.store` does.
        """
        claim = await self._claims.claim(self._place(cabinet.cabinet_id, external_id, 0))
        if claim is None:
            return await self._submit.store(
                cabinet, chunks, external_id=external_id, filename=filename
            )
        self._found[external_id] = claim
        return await self._submit.weigh(
            cabinet, chunks, claim.record.body_key, external_id=external_id, filename=filename
        )

    async def discard(self, bodies: Sequence[StoredBody]) -> None:
        """Delete bodies that this request stored for nothing."""
        await self._submit.discard(bodies)

    async def accept(
        self, body: StoredBody, metadata: dict[str, Any], *, traceparent: str | None = None
    ) -> Acceptance:
        """Accept the document, or say once more what it was accepted as.

        Raises:
            RequestError: ``idempotency_mismatch``: the key stands for another request.
            UnavailableError: as :meth:`Submit.accept`; the same request again finishes it.
        """
        try:
            acceptance = await self._settle(body, metadata, traceparent)
        except RequestError:
            await self._submit.discard([body])
            raise
        if acceptance.record.body_key != body.key:
            await self._submit.discard([body])
        await self._submit.publish(acceptance.record, traceparent=acceptance.traceparent)
        return acceptance

    async def _settle(
        self, body: StoredBody, metadata: dict[str, Any], traceparent: str | None
    ) -> Acceptance:
        """Walk along the claims to the one whose record stands, claiming what is free."""
        digest = request_digest(
            sha256=body.sha256,
            external_id=body.external_id,
            filename=body.filename,
            metadata=metadata,
        )
        claim = self._found.get(body.external_id)
        is_repeat, n = claim is not None, 0
        taken: DocumentRecord | None = None
        while True:
            place = self._place(body.cabinet.cabinet_id, body.external_id, n)
            if claim is None:
                claim = await self._claims.claim(place)
                is_repeat = is_repeat or claim is not None
            if claim is None:
                if taken is None:
                    record = await self._submit.draft(body, metadata)
                else:
                    record = await self._submit.redraft(taken)
                mine = Claim(digest=digest, record=record, traceparent=traceparent)
                if not await self._claims.create_claim(place, mine):
                    continue  # somebody was faster: read what they wrote
                claim = mine
            if claim.digest != digest:
                raise RequestError("idempotency_mismatch")
            if await self._submit.settle(claim.record):
                return Acceptance(
                    record=claim.record,
                    is_repeat=is_repeat,
                    traceparent=claim.traceparent or traceparent,
                )
            # Another upload took the version: the next claim is for the next one.
            taken, claim, n = claim.record, None, n + 1

    def _place(self, cabinet: CabinetId, external_id: str, n: int) -> str:
        return claim_key(self._key_id, cabinet, self._key(external_id), n)
