"""Ed25519 keys that sign heads of the event log. Used by the dispatcher (private) and by `event verify` (public).

A key is named by a reference, `file:/path` or `env:NAME`, that holds PEM. Its id is the first 16 hex digits of the
SHA-256 of its 32 public bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opscore.domain.errors import InvalidSetting
from opscore.domain.seal import Checkpoint, Head

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SETTING = "LAKEHOUSE_EVENT_KEY"
EXAMPLE = "file:/etc/lakehouse/event_key.pem or env:EVENT_KEY_PEM"


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key in use."""

    key_id: str
    _key: Ed25519PrivateKey

    def sign(self, head: Head) -> str:
        """The signature, base64."""
        return base64.b64encode(self._key.sign(head.text())).decode()


class Verifier:
    """The public keys that somebody trusts."""

    def __init__(self, keys: dict[str, Ed25519PublicKey]) -> None:
        """keys: by id."""
        self._keys = keys

    def __bool__(self) -> bool:
        """Whether there is any key to check against."""
        return bool(self._keys)

    def trusts(self, checkpoint: Checkpoint) -> bool:
        """Whether the checkpoint carries a good signature by one of the keys."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - only signatures need it

        key = self._keys.get(checkpoint.key_id or "")
        if key is None or checkpoint.signature is None:
            return False
        try:
            key.verify(base64.b64decode(checkpoint.signature, validate=True), checkpoint.head.text())
        except (InvalidSignature, binascii.Error):
            return False
        return True


def load_signer(reference: str) -> Signer:
    """The private key behind a reference. Raises InvalidSetting, never with contents."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - costs 8 MiB
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        key = load_pem_private_key(_pem(reference), password=None)
    except (ValueError, TypeError):
        raise _unusable(reference, "it is no private key in PEM without a passphrase") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(reference, "it is not an Ed25519 key")
    return Signer(key_id(key.public_key()), key)


def load_verifier(references: list[str]) -> Verifier:
    """The public keys behind references to public or private keys. Raises InvalidSetting."""
    keys = [_public(reference) for reference in references]
    return Verifier({key_id(key): key for key in keys})


def make_key(path: Path) -> None:
    """Write a new private key that only its owner reads, unless there is one already."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - costs 8 MiB
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    if path.exists():
        return
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def key_id(key: Ed25519PublicKey) -> str:
    """The id of a public key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _public(reference: str) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_private_key,
        load_pem_public_key,
    )

    pem = _pem(reference)
    try:
        found = load_pem_public_key(pem) if b"PUBLIC KEY" in pem else load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise _unusable(reference, "it is no key in PEM without a passphrase") from None
    if isinstance(found, Ed25519PrivateKey):
        return found.public_key()
    if not isinstance(found, Ed25519PublicKey):
        raise _unusable(reference, "it is not an Ed25519 key")
    return found


def _pem(reference: str) -> bytes:
    kind, _, name = reference.partition(":")
    if kind == "env":
        return os.environ.get(name, "").encode()
    if kind == "file":
        try:
            return Path(name).read_bytes()
        except OSError as error:
            raise _unusable(reference, f"it cannot be read ({error.strerror})") from None
    raise InvalidSetting(name=SETTING, fault="it is no reference to a key", example=EXAMPLE)


def _unusable(reference: str, fault: str) -> InvalidSetting:
    return InvalidSetting(name=SETTING, fault=f"{reference}: {fault}", example=EXAMPLE)
