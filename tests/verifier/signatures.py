"""Section 2: COSE_Sign1, strict Ed25519, ES256 with a low s; keys that can be one."""

import hashlib

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils, x25519

from encoding import canonical, is_bytes, is_map_value, need

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
P256_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
EDDSA = bytes.fromhex("a10127")
# y of the points of small order, canonical spellings, without the sign bit.
SMALL_ORDER = {
    0,
    1,
    P - 1,
    2707385501144840649318225287225658788936804267575313519463743609750303021540,
    55188659117513257062467267217118295137698188065244968500265048394206261417927,
}


def raw(public_key):
    return public_key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def is_canonical_point(data):
    return int.from_bytes(data, "little") & (2**255 - 1) < P


def is_small_order(data):
    return (int.from_bytes(data, "little") & (2**255 - 1)) % P in SMALL_ORDER


def is_ed25519_key(value):
    return is_bytes(value, 32) and is_canonical_point(value) and not is_small_order(value) and decompresses(value)


def decompresses(data):
    y = int.from_bytes(data, "little") & (2**255 - 1)
    d = -121665 * pow(121666, P - 2, P) % P
    u, v = (y * y - 1) % P, (d * y * y + 1) % P
    square = u * pow(v, P - 2, P) % P
    if square == 0:
        return data[31] >> 7 == 0
    return pow(square, (P - 1) // 2, P) == 1


def is_x25519_key(value):
    """Canonical, and not of low order: no clamped scalar takes it to zero."""
    if not is_bytes(value, 32) or int.from_bytes(value, "little") >= P:
        return False
    try:
        probe = x25519.X25519PrivateKey.from_private_bytes(bytes([1] * 32))
        probe.exchange(x25519.X25519PublicKey.from_public_bytes(value))
        return True
    except ValueError:
        return False


def envelope(data):
    """18([protected, {}, payload, signature])"""
    value = canonical(data)
    need(isinstance(value, cbor2.CBORTag) and value.tag == 18)
    value = value.value
    need(isinstance(value, (list, tuple)) and len(value) == 4)
    protected, unprotected, payload, signature = value
    need(is_bytes(protected) and is_map_value(unprotected) and not unprotected)
    need(is_bytes(payload) and is_bytes(signature, 64))
    return protected, payload, signature


def sig_structure(protected, purpose, payload):
    return cbor2.dumps(["Signature1", protected, b"waybill.dev/" + purpose, payload], canonical=True)


def identity(protected, purpose, payload):
    return hashlib.sha256(sig_structure(protected, purpose, payload)).digest()


def eddsa_holds(key, signature, signed):
    if is_small_order(signature[:32]) or int.from_bytes(signature[32:], "little") >= L:
        return False
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
        return True
    except InvalidSignature:
        return False


def es256_holds(point, signature, signed):
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if s > P256_N // 2 or not r or not s:
        return False
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    try:
        key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
        return True
    except InvalidSignature:
        return False
