"""Sections 9 to 11: commitments, codes, messages (HPKE of RFC 9180 by hand)."""

import hashlib
import hmac

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from encoding import canonical, seq
from events import STAGES
from signatures import EDDSA, eddsa_holds, envelope, raw, sig_structure

def mac(key, *items):
    return hmac.new(key, seq(*items), hashlib.sha256).digest()


def receipt_hash(delivery, code):
    return hashlib.sha256(seq("waybill.dev/receipt-hash", delivery, code)).digest()


def part_of(order, stage):
    names = (("country", "province", "city"), ("postal_code",), ("client_name", "door_number", "phone_number"))[stage]
    return cbor2.dumps([stage, {key: order[name] for key, name in enumerate(names)}], canonical=True)


def check_derived(vectors, agree):
    unhex = bytes.fromhex
    delivery, commit_key, label_key = vectors["delivery"], unhex(vectors["commit_key"]), unhex(vectors["label_key"])
    for case in vectors["parts"]:
        stage = STAGES.index(case["stage"])
        parts = [part_of(case["order"], each) for each in range(3)]
        part = parts[stage]
        agree("part", part.hex(), case["part"])
        salt = mac(unhex(vectors["order_salt"]), "waybill.dev/salt", delivery, stage, part)
        agree("salt of order", salt.hex(), case["salt_of_order"])
        other = mac(commit_key, "waybill.dev/salt-of-order", delivery, stage, part, *parts)
        agree("salt of seller", other.hex(), case["salt_of_seller"])
        commitment = hashlib.sha256(seq("waybill.dev/commitment", delivery, stage, salt, part)).hexdigest()
        agree("commitment", commitment, case["commitment_with_salt_of_order"])
    agree("nonce", mac(commit_key, "waybill.dev/hello", delivery, 2).hex(), vectors["hello_nonce_of_attempt_2"])
    label = mac(label_key, "waybill.dev/label", delivery)[:16]
    agree("label", f"waybill:1:{delivery}:{label.hex()}", vectors["label_code"])
    agree("scan", mac(label, "waybill.dev/scan", delivery, 2).hex(), vectors["scan_mac_of_attempt_2"])
    code = mac(label_key, "waybill.dev/receipt", delivery)[:16]
    agree("receipt code", code.hex(), vectors["receipt_code"])
    agree("receipt hash", receipt_hash(delivery, code).hex(), vectors["receipt_hash"])
    check_courier(vectors, delivery, agree)


def check_courier(vectors, delivery, agree):
    case = vectors["attempt_secret"]
    seller = x25519.X25519PrivateKey.from_private_bytes(bytes.fromhex(case["seller_secret_key"]))
    attempt = x25519.X25519PrivateKey.from_private_bytes(bytes.fromhex(case["attempt_secret_key"]))
    shared, attempt_public = seller.exchange(attempt.public_key()), raw(attempt.public_key())
    info = seq("waybill.dev/attempt-secret", delivery, case["attempt"], raw(seller.public_key()), attempt_public)
    secret = HKDF(hashes.SHA256(), 32, None, info).derive(shared)
    answer = mac(secret, "waybill.dev/courier-digits", delivery, case["attempt"], bytes.fromhex(case["challenge"]))
    agree("digits", f"{int.from_bytes(answer[:8], 'big') % 1_000_000:06}", case["digits"])

    case = vectors["courier_check"]
    protected, payload, signature = envelope(bytes.fromhex(case["signed"]))
    holds = eddsa_holds(bytes.fromhex(case["carrier_public_key"]), signature, sig_structure(protected, b"courier-check", payload))
    said = {0: 1, 1: delivery, 2: case["attempt"], 3: bytes.fromhex(case["challenge"])}
    agree("courier check", (protected, holds, canonical(payload)), (EDDSA, True, said))


def labeled_extract(suite, salt, label, ikm):
    return hmac.new(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, hashlib.sha256).digest()


def labeled_expand(suite, prk, label, info, length):
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return HKDFExpand(hashes.SHA256(), length, labeled).derive(prk)


def hpke_open(secret_key, enc, info, ciphertext):
    own = x25519.X25519PrivateKey.from_private_bytes(secret_key)
    shared = own.exchange(x25519.X25519PublicKey.from_public_bytes(enc))
    kem = b"KEM" + (0x0020).to_bytes(2, "big")
    eae = labeled_extract(kem, b"", b"eae_prk", shared)
    shared = labeled_expand(kem, eae, b"shared_secret", enc + raw(own.public_key()), 32)
    suite = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (0x0020, 0x0001, 0x0003))
    psk, hashed = labeled_extract(suite, b"", b"psk_id_hash", b""), labeled_extract(suite, b"", b"info_hash", info)
    context = b"\0" + psk + hashed
    secret = labeled_extract(suite, shared, b"secret", b"")
    key, nonce = labeled_expand(suite, secret, b"key", context, 32), labeled_expand(suite, secret, b"base_nonce", context, 12)
    return ChaCha20Poly1305(key).decrypt(nonce, ciphertext, b"")


def check_messages(vectors, agree):
    for case in vectors:
        data = bytes.fromhex(case["frame"])
        frame = canonical(data)
        own = bytes.fromhex(case["receiver_secret_key"])
        info = seq("waybill.dev/seal", frame[0], case["delivery"], frame[1], case["direction"], frame[2], frame[3])
        protected, payload, signature = envelope(hpke_open(own, frame[4], info, frame[5]))
        signed = sig_structure(protected, b"message", payload)
        agree("signature", eddsa_holds(bytes.fromhex(case["sender_public_key"]), signature, signed), True)
        said = canonical(payload)
        public = raw(x25519.X25519PrivateKey.from_private_bytes(own).public_key())
        about, events = bytes.fromhex(case["about"]), [bytes.fromhex(event) for event in case["events"]]
        names = (case["delivery"], case["attempt"], case["direction"], case["sender"], case["receiver"])
        agree("message", [said[key] for key in range(9)], [1, *names, public, about, events])
        agree("body", cbor2.dumps(said[9], canonical=True).hex(), case["body"])
        try:
            hpke_open(own, frame[4], info + b"\0", frame[5])
            agree("other info", "opens", "does not open")
        except InvalidTag:
            agree("other info", "does not open", "does not open")
