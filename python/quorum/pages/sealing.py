"""Sealing: what only the holder of a bundle's key may read, inside a page that anybody may open.

AES-256-GCM under a key that HKDF-SHA256 derives from the bundle's, so that the bundle's own key encrypts nothing but
the bundle. A browser opens it by WebCrypto (``templates/open.js``); nothing is sent anywhere. The text is filled up to
a multiple of ``BLOCK`` bytes, so that its length tells little.
"""

import hmac
import secrets
from base64 import b64decode, b64encode
from hashlib import sha256

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

BLOCK = 2**15  # the figures of most tenants take one
NONCE_BYTES = 12
SEALED, CHECKED = b"quorum page", b"quorum page check"  # what the derived keys are for


def sealed(text: bytes, bundle_key: str) -> str:
    """Return nonce, ciphertext and tag in base64; ``bundle_key`` is base64 of 32 bytes."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    filled = text.ljust(max(-(-len(text) // BLOCK), 1) * BLOCK)
    return b64encode(nonce + AESGCM(_derived(bundle_key, SEALED)).encrypt(nonce, filled, None)).decode()


def opened(seal: str, bundle_key: str) -> bytes:
    """Return the text; raises InvalidTag for another key and for anything that was changed."""
    content = b64decode(seal)
    key = _derived(bundle_key, SEALED)
    return AESGCM(key).decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], None).rstrip(b" ")


def check(content: bytes, bundle_key: str) -> str:
    """Return what tells the same content from another, and nothing to whom has not the key."""
    return hmac.new(_derived(bundle_key, CHECKED), content, sha256).hexdigest()


def _derived(bundle_key: str, purpose: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=purpose).derive(b64decode(bundle_key))
