"""Section 7: which entries of a log are genuine."""

from encoding import Invalid, need
from events import AUTHORS, Event
from machine import Machine, cuts
from signatures import eddsa_holds
from statements import read_statement

class Chain:
    def __init__(self):
        self.events = []  # (id, position)
        self.statements = []  # (first number its key signs, statement)
        self.seen = None  # a position

    def key_at(self, number):
        return [statement for first, statement in self.statements if first <= number][-1][6]


class Reader:
    """One reading of a log, from the first entry on."""

    def __init__(self, doc, checks, subject, cas, ends=()):
        self.doc, self.checks, self.subject, self.cas = doc, checks, subject, cas
        self.chains, self.genuine, self.verdicts = {}, {}, []
        self.ends = [dict(end, lifted=False) for end in ends]
        self.seen_by_seller = {}
        self.machine = Machine(doc, subject["delivery"])

    def take(self, data):
        position = len(self.verdicts)
        try:
            event = Event(data, self.doc, self.checks)
            need(position < 256, "Full")
            need(position < 240 or event.fact in self.doc.endings, "Reserved")
            statement, seen = self.check(event)
        except Invalid as error:
            self.verdicts.append(f"invalid {error}")
            return
        chain = self.chains.setdefault((event.author, event.uid), Chain())
        if statement is not None:
            chain.statements.append((0 if event.seq == 0 else event.seq + 1, statement))
        chain.events.append((event.id, position))
        chain.seen = seen if seen is not None else chain.seen
        self.genuine[event.id] = (position, event)
        seen_seq = self.genuine[event.seen][1].seq if event.seen is not None else None
        self.verdicts.append(self.machine.take(event, seen_seq))
        if event.author == "Seller":
            self.end_words(event)

    def check(self, event):
        """7.1, from 3 on."""
        need(event.delivery == self.subject["delivery"], "AnotherDelivery")
        need(event.author != "Seller" or event.uid == self.subject["seller"], "AnotherSeller")
        chain = self.chains.get((event.author, event.uid))
        if chain is None:
            need(event.seq == 0, "Gap")
            statement = self.carried(event)
            need(eddsa_holds(statement[6], event.signature, event.signed), "BadSignature")
            need(event.prev is None, "BrokenChain")
        else:
            statement = self.next_in(chain, event)
        seen = self.check_seen(chain, event)
        ended = any(
            not end["lifted"] and end["carrier"] == event.uid and (end["after"] is None or event.seq > end["after"])
            for end in self.ends
        )
        need(event.author != "Transport" or not ended, "CutOff")
        return statement, seen

    def carried(self, event):
        need(event.statement is not None, "StatementMissing")
        statement = read_statement(event.statement, self.cas)
        same = (event.uid, self.subject["namespace"], AUTHORS.index(event.author))
        need((statement[1], statement[2], statement[4]) == same, "ForeignStatement")
        return statement

    def next_in(self, chain, event):
        count = len(chain.events)
        if event.seq < count:
            need(eddsa_holds(chain.key_at(event.seq), event.signature, event.signed), "BadSignature")
            raise Invalid("Repeated" if chain.events[event.seq][0] == event.id else "Fork")
        need(event.seq == count, "Gap")
        need(eddsa_holds(chain.key_at(event.seq), event.signature, event.signed), "BadSignature")
        need(event.prev == chain.events[-1][0], "BrokenChain")
        if event.fact != "KeyRotated":
            need(event.statement is None, "StatementUnexpected")
            return None
        statement = self.carried(event)
        need(statement[9] > chain.statements[-1][1][9], "ForeignStatement")
        return statement

    def check_seen(self, chain, event):
        before = chain.seen if chain else None
        if event.seen is None:
            need(before is None, "SeenGoesBack")
            return None
        need(event.seen in self.genuine, "UnknownSeen")
        position, other = self.genuine[event.seen]
        need(other.author == ("Transport" if event.author == "Seller" else "Seller"), "UnknownSeen")
        need(before is None or position >= before, "SeenGoesBack")
        return position

    def end_words(self, event):
        """7.3"""
        if event.seen is not None:
            seen = self.genuine[event.seen][1]
            self.seen_by_seller[seen.uid] = seen.seq
        if event.fact == "OnHold" and cuts(self.doc, event.body[0]):
            kept = None
        elif event.fact == "CarrierAssigned":
            kept = event.body[0]
        else:
            return
        for author, carrier in list(self.chains):
            known = any(end["carrier"] == carrier and end["by"] == event.id for end in self.ends)
            if author == "Transport" and carrier != kept and not known:
                after = self.seen_by_seller.get(carrier)
                self.ends.append({"carrier": carrier, "by": event.id, "after": after, "lifted": False})
        for end in self.ends:
            if end["carrier"] == kept and end["by"] in self.genuine:
                end["lifted"] = True

    def holds_events_beyond_an_end(self):
        for end in self.ends:
            chain = self.chains.get(("Transport", end["carrier"]))
            last = len(chain.events) - 1 if chain else -1
            if not end["lifted"] and last > (-1 if end["after"] is None else end["after"]):
                return True
        return False


def read_log(doc, checks, subject, cas, entries):
    """Verdicts in the end, and (phase, stage, attempt) after each entry."""
    reader = Reader(doc, checks, subject, cas)
    after = []
    for index, data in enumerate(entries):
        reader.take(data)
        while reader.holds_events_beyond_an_end():
            reader = read_again(doc, checks, subject, cas, entries[: index + 1], reader.ends)
        after.append(reader.machine.shown())
    return reader.verdicts, after


def read_again(doc, checks, subject, cas, entries, ends):
    reader = Reader(doc, checks, subject, cas, ends)
    for data in entries:
        reader.take(data)
        if reader.holds_events_beyond_an_end():
            break
    return reader
