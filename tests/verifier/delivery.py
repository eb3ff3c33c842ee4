"""A Delivery as the cluster shows it, read as a log: its entries, whose they must be, and what its status makes of them."""

import base64
import hashlib
import json
import re

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from log import read_log


def authorities(pem):
    """Their public keys by the SHA-256 of their certificates (section 3)."""
    keys = {}
    for text in re.findall(b"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", pem, re.DOTALL):
        certificate = x509.load_pem_x509_certificate(text)
        point = certificate.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys[hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()] = point
    return keys


def check_delivery(doc, checks, text, pem, agree):
    delivery = json.loads(text)
    meta, status = delivery["metadata"], delivery["status"]
    # wb/<seller>/<carrier>/<delivery>/down
    seller = status["topics"]["down"].split("/")[1]
    subject = {"delivery": meta["uid"], "seller": seller, "namespace": meta["namespace"]}
    custody = status.get("custody", [])
    entries = [base64.b64decode(entry["signed"], validate=True) for entry in custody]
    verdicts, after = read_log(doc, checks, subject, authorities(pem), entries)
    for index, (entry, verdict, shown) in enumerate(zip(custody, verdicts, after, strict=True)):
        print(f"{index:3} {entry['at']} {entry['author']:9} {entry['event']:16} {verdict:8} {shown}")
        agree(f"verdict of entry {index}", verdict, "counts")
    shown = f"{status['phase']} {status.get('stage', 'None')} {status['attempt']}"
    agree("phase, stage and attempt after the last entry", after[-1] if after else "nothing", shown)
