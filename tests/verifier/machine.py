"""Section 8: the state machine."""

import copy

from codes import receipt_hash
from events import STAGES

TERMINAL = ("Delivered", "Returned", "Lost", "Cancelled")
SPENDS = ("AttemptFailed", "AvailableForPickup", "Refused", "Damaged")


def cuts(doc, reason):
    return doc.words["HoldReason"][reason] in ("CarrierRevoked", "CarrierReplaced", "CarrierKeyLost")


class Refused(Exception):
    pass


def must(condition, code):
    if not condition:
        raise Refused(code)


def standing_at_first():
    return {
        "phase": "Pending",
        "hold": None,
        "attempt": 0,
        "running": False,
        "assigned": None,
        "carrier": None,
        "handed_over": None,
        "away": False,
        "given_back": False,
        "terms": None,
        "commitments": None,
        "released": None,
        "posted": None,
        "released_by": None,
        "spent": 0,
        "last_spent": 0,
    }


class Machine:
    def __init__(self, doc, delivery):
        self.doc, self.delivery = doc, delivery
        self.standing = standing_at_first()
        self.acceptances, self.scans, self.incidents, self.declarations = [], [], [], {}
        self.refusal = None
        self.steps = []  # (event, correctable, standing before)

    def shown(self):
        s = self.standing
        stage = STAGES[s["released"]] if s["running"] and s["hold"] is None and s["released"] is not None else None
        return f"{'OnHold' if s['hold'] else s['phase']} {stage} {s['attempt']}"

    def take(self, event, seen_seq):
        late = False
        try:
            row = self.find(event, seen_seq, self.standing, self.steps)
        except Refused as refused:
            row = self.find_late(event, seen_seq)
            if row is None:
                return f"refused {refused}"
            late = True
        if not late or (row["late"] == "counts" and self.standing["phase"] not in TERMINAL):
            self.apply(row, event, seen_seq)
        return "counts late" if late else "counts"

    def find_late(self, event, seen_seq):
        """8.3"""
        if event.author != "Transport":
            return None
        first = len(self.steps)
        while first and self.steps[first - 1][0].author == "Seller":
            if seen_seq is not None and self.steps[first - 1][0].seq <= seen_seq:
                break
            first -= 1
        if first == len(self.steps):
            return None
        try:
            return self.find(event, seen_seq, self.steps[first][2], self.steps[:first])
        except Refused:
            return None

    def find(self, event, seen_seq, standing, steps):
        """8.2, 1 to 3"""
        of = ""
        if event.fact in ("Released", "Posted"):
            of = STAGES[event.body[0]]
        if event.fact == "Countersigned":
            must(event.body[0] in self.declarations, "UnknownReference")
            of = self.doc.words["DeclaredFact"][self.declarations[event.body[0]]]
        rows = [row for row in self.doc.table if row["fact"] == event.fact and row["of"] in ("", of)]
        rows = [row for row in rows if event.author in row["by"]]
        must(rows, "NotByThisAuthor")
        if event.author == "Transport" and event.fact != "Accepted":
            accepted = [acceptance for acceptance in self.acceptances if acceptance == event.uid]
            is_carrier = standing["carrier"] == event.uid if standing["carrier"] else bool(accepted)
            must(is_carrier, "NotTheCarrier")
        reason = Refused("OutOfPlace")
        for row in rows:
            if row["in phase"] != ["any"] and standing["phase"] not in row["in phase"]:
                continue
            try:
                self.check(row, event, seen_seq, standing, steps)
                return row
            except Refused as refused:
                reason = refused
        raise reason

    def check(self, row, event, seen_seq, standing, steps):
        must(row["on hold"] != "refused" or standing["hold"] is None, "Held")
        must(event.attempt == standing["attempt"] + ("NextAttempt" in row["needs"]), "WrongAttempt")
        for name in row["needs"]:
            getattr(self, "need_" + name)(event, seen_seq, standing, steps)

    # --- 8.5 ---

    def need_NextAttempt(self, event, seen_seq, s, steps):
        pass  # compared with the attempt, before all needs

    def need_Assigned(self, event, seen_seq, s, steps):
        expected = s["assigned"] or s["carrier"]
        must(expected is None or expected == event.uid, "NotAssigned")

    def need_NewCandidate(self, event, seen_seq, s, steps):
        must(event.uid not in self.acceptances, "AlreadyAccepted")

    def need_NotHandedOver(self, event, seen_seq, s, steps):
        must(s["handed_over"] is None, "AlreadyHandedOver")

    def need_TermsFit(self, event, seen_seq, s, steps):
        terms, before = event.body[0], s["terms"]
        must(terms[1] in self.acceptances, "NotAcceptedBy")
        if before:
            same = all(terms[key] == before[key] for key in (0, 2, 6))
            same_carrier = terms[1] == before[1]
            must(same and (not same_carrier or (terms[3], terms[4]) == (before[3], before[4])), "TermsChanged")

    def need_SeenHandOver(self, event, seen_seq, s, steps):
        seen = s["handed_over"] is not None and seen_seq is not None and seen_seq >= s["handed_over"]
        must(seen, "NotHandedOver")

    def need_StageDue(self, event, seen_seq, s, steps):
        if s["released"] is None:
            due = 0
        else:
            due = s["released"] + 1 if s["posted"] == s["released"] else None
        must(due == event.body[0], "StageNotDue")
        must((1 in event.body) == (event.body[0] == 2), "Gate")

    def need_GateOpen(self, event, seen_seq, s, steps):
        kind, body = event.body[1]
        if kind == 0:
            must(not s["terms"][4], "Gate")
        elif kind == 1:
            must(self.read_and_not_refused(body[0]), "Gate")
        else:
            must(body[0] in self.incidents, "Gate")

    def read_and_not_refused(self, scan):
        return any(known["event"] == scan and known["outcome"][0] == 0 and not known["refused"] for known in self.scans)

    def need_StageReleased(self, event, seen_seq, s, steps):
        must(s["posted"] is None or s["posted"] < event.body[0], "AlreadyPosted")
        must(s["released"] == event.body[0], "StageNotReleased")

    def need_CurrentAddress(self, event, seen_seq, s, steps):
        must(s["commitments"] and s["commitments"][event.body[0]] == event.body[1], "StaleAddress")

    def need_NewAddress(self, event, seen_seq, s, steps):
        must(s["commitments"], "NotHandedOver")
        must(s["commitments"] != event.body[0], "SameAddress")

    def need_Coalesced(self, event, seen_seq, s, steps):
        outcome, tries = event.body[0], event.body[1]
        same = [known for known in self.scans if list(known["outcome"]) == list(outcome)]
        ok = all(tries > known["tries"] for known in self.scans) and tries > 0
        if outcome[0] == 0:
            ok = ok and not same
        elif same:
            ok = ok and tries >= 2 * same[-1]["tries"]
        must(ok, "NotCoalesced")

    def need_KnownScan(self, event, seen_seq, s, steps):
        must(self.read_and_not_refused(event.body[0]), "UnknownReference")

    def need_ReceiptFits(self, event, seen_seq, s, steps):
        expected = s["terms"].get(7) if s["terms"] else None
        must(expected is not None and expected == receipt_hash(self.delivery, event.body[0]), "WrongReceiptCode")

    def need_AttemptsLeft(self, event, seen_seq, s, steps):
        must(not s["terms"] or s["spent"] < s["terms"][2], "NoAttemptsLeft")

    def need_Away(self, event, seen_seq, s, steps):
        must(s["away"], "NotAway")

    def need_NotAway(self, event, seen_seq, s, steps):
        must(not s["away"], "Away")

    def need_NotGivenBack(self, event, seen_seq, s, steps):
        must(not s["given_back"], "AlreadyGivenBack")

    def need_Held(self, event, seen_seq, s, steps):
        must(s["hold"], "NotHeld")

    def need_MayHold(self, event, seen_seq, s, steps):
        must(not s["hold"] or event.author == "Seller", "NotYourHold")

    def need_MayResume(self, event, seen_seq, s, steps):
        must(s["hold"], "NotHeld")
        author, reason = s["hold"]
        must(not cuts(self.doc, reason) and event.author in ("Seller", author), "NotYourHold")

    def need_OtherCarrier(self, event, seen_seq, s, steps):
        must((s["assigned"] or s["carrier"]) != event.body[0], "SameCarrier")

    def need_OwnLastStep(self, event, seen_seq, s, steps):
        ok = bool(steps)
        if ok:
            step, correctable, _ = steps[-1]
            ok = step.id == event.body[0] and correctable and (step.author, step.uid) == (event.author, event.uid)
        must(ok, "NotCorrectable")

    # --- 8.2, the rest ---

    def apply(self, row, event, seen_seq):
        before = copy.deepcopy(self.standing)
        if event.fact == "Corrected":
            self.standing = copy.deepcopy(self.steps[-1][2])
        else:
            self.change(row, event, seen_seq)
        if self.standing != before:
            self.steps.append((event, row["correctable"] == "yes", before))

    def change(self, row, event, seen_seq):
        s = self.standing
        other_attempt = event.fact == "Accepted" and event.attempt != s["attempt"]
        if other_attempt:
            self.scans, self.incidents, self.refusal = [], [], None
        if other_attempt or event.fact == "CarrierAssigned":
            self.acceptances = []
        if row["on hold"] == "ends":
            s["hold"] = None
        leads = row["leads to"]
        if row["stage after"] == "closed":
            s.update(running=False, released=None, posted=None, released_by=None)
            if leads in SPENDS and s["last_spent"] != s["attempt"]:
                s.update(spent=s["spent"] + 1, last_spent=s["attempt"])
        if not leads.startswith("stays"):
            s["phase"] = leads
        if row["stage after"] == "begins":
            s["running"] = True
        self.mark(row, event, seen_seq)

    def mark(self, row, event, seen_seq):
        s, body = self.standing, event.body
        if event.fact == "Accepted":
            s.update(attempt=event.attempt, handed_over=None)
            if event.uid not in self.acceptances:
                self.acceptances.append(event.uid)
        elif event.fact == "HandedOver":
            terms = copy.deepcopy(body[0])
            s.update(handed_over=event.seq, carrier=terms[1], assigned=None, terms=terms, away=True, given_back=False)
            s["commitments"] = terms[6]
        elif event.fact == "Released":
            s.update(released=body[0], released_by=event.id)
        elif event.fact == "Posted":
            s["posted"] = body[0]
        elif event.fact == "OnHold":
            s["hold"] = (event.author, body[0])
        elif event.fact == "GivenBack":
            s["given_back"] = True
        elif event.fact == "ReturnReceived":
            s["away"] = False
        elif event.fact == "AddressChanged":
            self.change_address(body[0])
        elif event.fact == "CarrierAssigned":
            s.update(assigned=body[0], carrier=None, handed_over=None)
        elif event.fact == "Scanned":
            self.scans.append({"event": event.id, "outcome": body[0], "tries": body[1], "refused": False})
            if body[0][0] == 1:
                self.incidents = []
        elif event.fact == "ScanRefused":
            for scan in self.scans:
                scan["refused"] = scan["refused"] or scan["event"] == body[0]
            self.incidents, self.refusal = [], event.seq
        elif event.fact == "IncidentReported":
            excuses = self.doc.words["Incident"][body[0]] in ("LabelUnreadable", "LabelMismatch", "CameraBroken")
            knows = self.refusal is None or (seen_seq is not None and seen_seq >= self.refusal)
            if excuses and knows:
                self.incidents.append(event.id)
        elif event.fact == "Declared":
            self.declarations[event.id] = body[0]
        elif event.fact == "Countersigned" and row["of"] == "GivenBack":
            s["given_back"] = True
        elif event.fact == "Countersigned" and row["of"] == "Incident":
            self.incidents.append(body[0])

    def change_address(self, commitments):
        s = self.standing
        first = min(part for part in (0, 1, 2) if commitments[part] != s["commitments"][part])
        for mark in ("released", "posted"):
            if s[mark] is not None and s[mark] >= first:
                s[mark] = first - 1 if first else None
        s["commitments"] = commitments
        s["terms"] = {**s["terms"], 6: commitments}
