"""Sections 4 to 6: events, facts, and the closed lists and the table as the document shows them."""

import hashlib
import re

from encoding import (
    U16,
    U32,
    canonical,
    fields,
    is_bool,
    is_bytes,
    is_hash,
    is_map_value,
    is_text,
    is_uid,
    is_uint,
    need,
)
from signatures import EDDSA, envelope, is_x25519_key, sig_structure

class Document:
    def __init__(self, text):
        self.words = {name: words.split() for name, words in re.findall(r"^\| (\w+) \| ([A-Z]\w+(?: [A-Z]\w+)*) \|$", text, re.M)}
        self.facts = {int(number): name for number, name in re.findall(r"^\| (\d+) \| ([A-Z]\w+) \|", text, re.M)}
        table = text[text.index("<!-- begin: table") : text.index("<!-- end: table")]
        lines = [line for line in table.splitlines() if line.startswith("| ")]
        head = [cell.strip() for cell in lines[0].strip("|").split("|")]
        self.table = [dict(zip(head, (cell.strip() for cell in line.strip("|").split("|")))) for line in lines[1:]]
        for row in self.table:
            for column in ("by", "in phase", "needs"):
                row[column] = [item for item in row[column].split(", ") if item]
        endings = re.search(r"Endings:(.*?)\.\n", text, re.S).group(1)
        self.endings = set(re.findall(r"\w+", endings))

    def word(self, name):
        return lambda value: is_uint(value, len(self.words[name]))


STAGES = ["Country", "PostalCode", "Door"]
AUTHORS = ["Seller", "Transport", "Person"]


def is_stage(value):
    return is_uint(value, 3)


def is_choice(*variants):
    """[number, {fields}] where the number picks (required, optional)."""

    def check(value):
        need(isinstance(value, (list, tuple)) and len(value) == 2 and is_uint(value[0], len(variants)))
        return fields(value[1], *variants[value[0]])

    return check


def is_map(required, optional=()):
    return lambda value: fields(value, required, optional)


def fact_checks(doc):
    word = doc.word
    u32 = lambda v: is_uint(v, U32)
    reason = is_map({0: word("Cause"), 1: word("Happening")}, {2: is_hash})
    window = is_map({0: is_uint, 1: is_uint})
    commitments = is_map({0: is_hash, 1: is_hash, 2: is_hash})
    upc = lambda v: is_text(v, r"[!-~]*", 1, 128)
    terms = is_map(
        {0: upc, 1: is_uid, 2: u32, 3: is_bool, 4: is_bool, 6: commitments}, {5: window, 7: is_hash}
    )
    gate = is_choice(({},), ({0: is_hash},), ({0: is_hash},))
    outcome = is_choice(({0: is_hash},), ({},), ({},))
    note = {1: is_hash}
    return {
        "Accepted": ({0: is_x25519_key, 1: is_hash, 2: lambda v: is_uint(v, U16)},),
        "Rekeyed": ({0: is_x25519_key, 1: is_hash},),
        "KeyRotated": ({},),
        "HandedOver": ({0: terms},),
        "PickedUp": ({},),
        "Released": ({0: is_stage}, {1: gate}),
        "Posted": ({0: is_stage, 1: is_hash},),
        "Scanned": ({0: outcome, 1: u32},),
        "ScanRefused": ({0: is_hash},),
        "IncidentReported": ({0: word("Incident")}, note),
        "Delivered": ({0: word("DeliveredTo")}, note),
        "ProofAttached": ({0: word("EvidenceKind"), 1: word("Media"), 2: is_hash},),
        "ReceiptProved": ({0: lambda v: is_bytes(v, 16)},),
        "AttemptFailed": ({0: reason},),
        "Rescheduled": ({}, {0: window}),
        "AvailableForPickup": ({}, {0: is_hash}),
        "OnHold": ({0: word("HoldReason")}, note),
        "Resumed": ({},),
        "Refused": ({0: reason},),
        "Damaged": ({0: reason},),
        "Lost": ({0: reason},),
        "Found": ({}, {0: is_hash}),
        "Cancelled": ({0: word("CancelReason")},),
        "ReturnRequested": ({0: word("ReturnReason")},),
        "GivenBack": ({},),
        "ReturnReceived": ({},),
        "AddressChanged": ({0: commitments},),
        "CarrierAssigned": ({0: is_uid},),
        "Declared": ({0: word("DeclaredFact"), 1: lambda v: isinstance(v, str) and len(v.encode()) <= 256}, {2: is_hash}),
        "Countersigned": ({0: is_hash},),
        "Corrected": ({0: is_hash}, note),
        "Erased": ({0: word("ErasedScope")},),
        "Forgotten": ({0: word("Guarantee")},),
    }


class Event:
    def __init__(self, data, doc, checks):
        need(len(data) <= 4096)
        protected, payload, self.signature = envelope(data)
        need(protected == EDDSA)
        self.signed = sig_structure(protected, b"event", payload)
        self.id = hashlib.sha256(self.signed).digest()
        value = canonical(payload)
        need(is_map_value(value) and value.get(0) == 1 and type(value[0]) is int)
        u32 = lambda v: is_uint(v, U32)
        fields(
            value,
            {0: lambda v: v == 1, 1: is_uid, 2: lambda v: is_uint(v, 3), 3: is_uid, 4: u32, 7: is_uint, 8: u32, 9: lambda v: True},
            {5: is_hash, 6: is_hash, 10: is_bytes},
        )
        fact = value[9]
        need(isinstance(fact, (list, tuple)) and len(fact) == 2 and type(fact[0]) is int and fact[0] in doc.facts)
        self.fact, self.body = doc.facts[fact[0]], fact[1]
        fields(self.body, *checks[self.fact])
        self.delivery, self.author, self.uid, self.seq = value[1], AUTHORS[value[2]], value[3], value[4]
        self.prev, self.seen, self.attempt, self.statement = value.get(5), value.get(6), value[8], value.get(10)
