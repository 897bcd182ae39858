"""AES-256-GCM and RSA-OAEP from OpenSSL's libcrypto, which Python's own ``ssl`` module stands on (1.1 and 3).

A board needs no package and no ``openssl`` command for it, keys never leave this process, and nothing is started.
Every failure is a CryptoError.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from edge_sim.errors import UnsupportedEnvironmentError

KEY_BYTES, _NONCE_BYTES, _TAG_BYTES = 32, 12, 16
MIN_RSA_BITS = 2048
"""V1's own minimum for the key that protects secrets (secrets.md)."""
_GET_TAG, _SET_TAG = 0x10, 0x11
_POINTERS = ["BIO_new_mem_buf", "PEM_read_bio_PrivateKey", "EVP_PKEY_CTX_new", "EVP_CIPHER_CTX_new", "EVP_aes_256_gcm"]


_Run = Callable[[bytes], bytes]


class CryptoError(UnsupportedEnvironmentError):
    """Something could not be encrypted or decrypted."""


def encrypt(key: bytes, text: bytes, about: bytes) -> bytes:
    """Return ``text`` under a 32-byte key, authenticated together with ``about``: nonce, tag, ciphertext."""
    nonce, tag = os.urandom(_NONCE_BYTES), ctypes.create_string_buffer(_TAG_BYTES)
    with _cipher("EVP_Encrypt", key, nonce, about) as (context, run):
        out = run(text)
        _check(_library().EVP_EncryptFinal_ex(context, ctypes.create_string_buffer(16), ctypes.byref(ctypes.c_int())))
        _check(_library().EVP_CIPHER_CTX_ctrl(context, _GET_TAG, _TAG_BYTES, tag))
    return nonce + tag.raw + out


def decrypt(key: bytes, data: bytes, about: bytes) -> bytes:
    """Return what ``encrypt`` took. Raises CryptoError when a bit of it, or of ``about``, is another."""
    nonce, tag, body = data[:_NONCE_BYTES], data[_NONCE_BYTES:][:_TAG_BYTES], data[_NONCE_BYTES + _TAG_BYTES :]
    with _cipher("EVP_Decrypt", key, nonce, about) as (context, run):
        out = run(body)
        _check(_library().EVP_CIPHER_CTX_ctrl(context, _SET_TAG, _TAG_BYTES, ctypes.create_string_buffer(tag, 16)))
        _check(_library().EVP_DecryptFinal_ex(context, ctypes.create_string_buffer(16), ctypes.byref(ctypes.c_int())))
    return out


def wrap(pem: bytes, key: bytes) -> bytes:
    """Return ``key`` encrypted for the RSA key in ``pem`` (a private key, PKCS#1 or PKCS#8; OAEP)."""
    with _rsa(pem, "encrypt") as run:
        return run(key)


def unwrap(pem: bytes, wrapped: bytes) -> bytes:
    """Return what ``wrap`` took."""
    with _rsa(pem, "decrypt") as run:
        return run(wrapped)


@contextmanager
def _cipher(what: str, key: bytes, nonce: bytes, about: bytes) -> Iterator[tuple[Any, _Run]]:
    library = _library()
    context = ctypes.c_void_p(library.EVP_CIPHER_CTX_new())
    start, update = getattr(library, f"{what}Init_ex"), getattr(library, f"{what}Update")

    def run(text: bytes) -> bytes:
        out, count = ctypes.create_string_buffer(len(text) + 16), ctypes.c_int()
        _check(update(context, out, ctypes.byref(count), text, len(text)))
        return out.raw[: count.value]

    try:
        if len(key) != KEY_BYTES or len(nonce) != _NONCE_BYTES:
            raise CryptoError("the ciphertext or its key is truncated")
        _check(start(context, ctypes.c_void_p(library.EVP_aes_256_gcm()), None, key, nonce))
        _check(update(context, None, ctypes.byref(ctypes.c_int()), about, len(about)))
        yield context, run
    finally:
        library.EVP_CIPHER_CTX_free(context)


@contextmanager
def _rsa(pem: bytes, what: str) -> Iterator[_Run]:
    library = _library()
    bio = ctypes.c_void_p(library.BIO_new_mem_buf(pem, len(pem)))
    key = ctypes.c_void_p(library.PEM_read_bio_PrivateKey(bio, None, None, b""))
    library.BIO_free(bio)
    context = ctypes.c_void_p(library.EVP_PKEY_CTX_new(key, None) if key else None)
    step = getattr(library, f"EVP_PKEY_{what}")

    def run(data: bytes) -> bytes:
        size, length = ctypes.c_size_t(), ctypes.c_size_t(len(data))
        _check(step(context, None, ctypes.byref(size), data, length))
        if size.value * 8 < MIN_RSA_BITS:
            raise CryptoError(f"the core's key has {size.value * 8} bits; at least {MIN_RSA_BITS} are needed")
        out = ctypes.create_string_buffer(size.value)
        _check(step(context, out, ctypes.byref(size), data, length))
        return out.raw[: size.value]

    try:
        if not key:
            raise CryptoError("the core's key is not a private key in PEM form without a password")
        if getattr(library, f"EVP_PKEY_{what}_init")(context) != 1:
            raise CryptoError("the core's key is not an RSA key")
        _check(library.EVP_PKEY_CTX_ctrl_str(context, b"rsa_padding_mode", b"oaep"))
        yield run
    finally:
        library.EVP_PKEY_CTX_free(context)
        library.EVP_PKEY_free(key)
        library.ERR_clear_error()


def _check(result: int) -> None:
    if result != 1:
        raise CryptoError("cannot decrypt the secret: the stored file or the core's key has changed")


@functools.cache
def _library() -> Any:
    """Return libcrypto: the one that Python's ``ssl`` is linked with, else the system's."""
    for find in (_pythons_own, lambda: ctypes.util.find_library("crypto")):
        name = find()
        try:
            library = ctypes.CDLL(name) if name else None
        except OSError:
            continue
        if library is not None and hasattr(library, "EVP_aes_256_gcm"):
            for function in _POINTERS:
                getattr(library, function).restype = ctypes.c_void_p
            return library
    raise CryptoError(
        "secrets need OpenSSL's libcrypto, which neither this Python nor this machine has as a library",
        hint="Install OpenSSL (Debian: libssl3, OpenWrt: libopenssl), or a Python that is linked with it.",
    )


def _pythons_own() -> str | None:
    """Return the file of Python's ``ssl`` extension: looking a name up in it finds what it is linked with."""
    try:
        import _ssl
    except ImportError:
        return None
    return getattr(_ssl, "__file__", None)
