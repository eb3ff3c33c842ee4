use super::*;
use crate::pki::{Ca, Leaf, number, revoked_json};
use std::sync::Arc;

/// A cluster that says what it should.
struct Cluster {
    ca: Ca,
    admin: Ca,
    inputs: Inputs,
}

fn data<const N: usize>(entries: [(&str, String); N]) -> Option<crate::Data> {
    Some(Arc::new(entries.into_iter().map(|(key, text)| (key.to_owned(), text.into_bytes())).collect()))
}

impl Cluster {
    fn new() -> Self {
        let (ca, admin) = (Ca::new("ca"), Ca::new("admin"));
        let (server, client) = (ca.server(), admin.client("sidecar"));
        let inputs = Inputs {
            revocations: data([("crl.pem", ca.list(number(1), &[])), ("revoked.json", revoked_json(1, &[]))]),
            server: data([("tls.crt", server.chain), ("tls.key", server.key), ("ca.crt", ca.pem())]),
            admin: data([("tls.crt", client.chain), ("tls.key", client.key), ("ca.crt", admin.pem())]),
            access: data(["acl-carriers", "acl-sellers", "acl-admin"].map(|name| (name, "pattern read wb/x\n".into()))),
        };
        Self { ca, admin, inputs }
    }

    fn revoke(&mut self, count: u64, leafs: &[&Leaf]) {
        let serials: Vec<u64> = leafs.iter().map(|leaf| leaf.serial).collect();
        let list = self.ca.list(number(count), &serials);
        self.inputs.revocations = data([("crl.pem", list), ("revoked.json", revoked_json(count, leafs))]);
    }
}

fn change(data: &mut Option<crate::Data>, key: &str, value: Option<&str>) {
    let mut entries = (**data.as_ref().unwrap()).clone();
    match value {
        Some(value) => drop(entries.insert(key.to_owned(), value.as_bytes().to_vec())),
        None => drop(entries.remove(key)),
    }
    *data = Some(Arc::new(entries));
}

fn words(findings: &Findings) -> Vec<(&'static str, &'static str)> {
    findings.problems.iter().map(|(part, problem)| (part.name(), problem.word())).collect()
}

#[test]
fn files_are_there_once_every_part_is_and_not_before() {
    let cluster = Cluster::new();
    for part in Part::ALL {
        let (mut held, mut inputs) = (Held::default(), cluster.inputs.clone());
        let missing = match part {
            Part::Server => &mut inputs.server,
            Part::Revocations => &mut inputs.revocations,
            Part::Admin => &mut inputs.admin,
            Part::Access => &mut inputs.access,
        };
        *missing = None;
        let findings = held.consider(&inputs, Timestamp::now());
        assert!(findings.problems.contains_key(&part) && held.files().is_none(), "{part:?}");
        assert!(held.consider(&cluster.inputs, Timestamp::now()).problems.is_empty());
        let files = held.files().unwrap();
        assert_eq!(files.len(), 8);
        assert!(files.keys().all(|name| !files[name].is_empty()));
        assert_eq!(held.admin().unwrap().1, crate::pki::BROKER_NAME);
    }
}

#[test]
fn a_damaged_part_leaves_the_last_good_one_and_does_not_hold_up_the_others() {
    let mut cluster = Cluster::new();
    let mut held = Held::default();
    held.consider(&cluster.inputs, Timestamp::now());
    let before = held.files().unwrap();
    let foreign = Ca::new("other").client("sidecar");
    let revoked = cluster.ca.client("a");
    cluster.revoke(2, &[&revoked]);
    change(&mut cluster.inputs.server, "tls.key", Some(&foreign.key));
    change(&mut cluster.inputs.admin, "tls.crt", Some(&foreign.chain));
    change(&mut cluster.inputs.admin, "tls.key", Some(&foreign.key));
    change(&mut cluster.inputs.access, "acl-admin", Some("# nothing\n"));
    let findings = held.consider(&cluster.inputs, Timestamp::now());
    let expected = [
        ("server-certificate", "damaged server certificate"),
        ("admin-certificate", "damaged admin certificate"),
        ("access-lists", "damaged access lists"),
    ];
    assert_eq!(words(&findings), expected);
    assert_eq!(findings.cut, ["a"]);
    let after = held.files().unwrap();
    let changed: Vec<_> = after.keys().filter(|name| before[*name] != after[*name]).collect();
    assert_eq!(changed, [&"crl.pem"]);
}

#[test]
fn the_first_list_is_a_sweep_and_each_later_one_names_only_the_newly_revoked() {
    let mut cluster = Cluster::new();
    let (first, second) = (cluster.ca.client("a"), cluster.ca.client("b"));
    let mut held = Held::default();
    cluster.revoke(1, &[&first]);
    let findings = held.consider(&cluster.inputs, Timestamp::now());
    assert!(findings.sweep && findings.cut == ["a"]);
    cluster.revoke(2, &[&first, &second]);
    let findings = held.consider(&cluster.inputs, Timestamp::now());
    assert!(!findings.sweep && findings.cut == ["b"]);
    assert!(held.consider(&cluster.inputs, Timestamp::now()).cut.is_empty());
    assert!(held.revokes("b") && !held.revokes("c"));
}

#[test]
fn a_refused_list_ends_nobodys_session() {
    let mut cluster = Cluster::new();
    let (first, second) = (cluster.ca.client("a"), cluster.ca.client("b"));
    let mut held = Held::default();
    cluster.revoke(5, &[&first]);
    held.consider(&cluster.inputs, Timestamp::now());
    cluster.revoke(4, &[&second]);
    let findings = held.consider(&cluster.inputs, Timestamp::now());
    assert!(findings.cut.is_empty() && held.revokes("a") && !held.revokes("b"));
    assert_eq!(words(&findings), [("revocations", "older revocation list")]);
}

#[test]
fn unreadable_names_do_not_keep_a_revocation_out() {
    let mut cluster = Cluster::new();
    let mut held = Held::default();
    held.consider(&cluster.inputs, Timestamp::now());
    let revoked = cluster.ca.client("a");
    cluster.revoke(2, &[&revoked]);
    let whole = cluster.inputs.clone();
    change(&mut cluster.inputs.revocations, "revoked.json", Some("{"));
    let findings = held.consider(&cluster.inputs, Timestamp::now());
    assert_eq!(words(&findings), [("revocations", "revoked.json unreadable: live sessions are not ended")]);
    assert_eq!(held.trust().unwrap().number(), 2);
    assert_eq!(held.consider(&whole, Timestamp::now()).cut, ["a"], "ended once the names are readable");
}

#[test]
fn a_new_authority_without_its_list_keeps_no_revocation_out() {
    let mut cluster = Cluster::new();
    let mut held = Held::default();
    held.consider(&cluster.inputs, Timestamp::now());
    let next = Ca::new("next");
    let bundle = cluster.ca.pem() + &next.pem();
    change(&mut cluster.inputs.server, "ca.crt", Some(&bundle));
    let revoked = cluster.ca.client("a");
    cluster.revoke(2, &[&revoked]);
    let findings = held.consider(&cluster.inputs, Timestamp::now());
    assert_eq!(words(&findings), [("revocations", "an authority without a revocation list")]);
    assert_eq!((findings.cut.as_slice(), held.trust().unwrap().number()), (&["a".to_owned()][..], 2));
    assert_eq!(held.files().unwrap()["participants-ca.crt"], cluster.ca.pem().as_bytes(), "the bundle waits");

    let lists = cluster.ca.list(number(3), &[revoked.serial]) + &next.list(number(3), &[]);
    change(&mut cluster.inputs.revocations, "crl.pem", Some(&lists));
    assert!(held.consider(&cluster.inputs, Timestamp::now()).problems.is_empty());
    assert_eq!(held.files().unwrap()["participants-ca.crt"], bundle.as_bytes());
}

#[test]
fn a_broken_list_keeps_no_withdrawn_authority_in() {
    let mut cluster = Cluster::new();
    let old = Ca::new("old");
    let (both, lists) = (cluster.ca.pem() + &old.pem(), cluster.ca.list(number(2), &[]) + &old.list(number(2), &[]));
    change(&mut cluster.inputs.server, "ca.crt", Some(&both));
    change(&mut cluster.inputs.revocations, "crl.pem", Some(&lists));
    let mut held = Held::default();
    assert!(held.consider(&cluster.inputs, Timestamp::now()).problems.is_empty());
    change(&mut cluster.inputs.server, "ca.crt", Some(&cluster.ca.pem()));
    change(&mut cluster.inputs.revocations, "crl.pem", Some(&lists[..lists.len() / 3]));
    let findings = held.consider(&cluster.inputs, Timestamp::now());
    assert_eq!(words(&findings), [("revocations", "damaged revocation list")]);
    let files = held.files().unwrap();
    assert_eq!(files["participants-ca.crt"], cluster.ca.pem().as_bytes());
    assert_eq!(String::from_utf8_lossy(&files["crl.pem"]).matches("BEGIN").count(), 1);
}

#[test]
fn what_an_earlier_run_left_is_the_floor_of_the_next() {
    let mut cluster = Cluster::new();
    let revoked = cluster.ca.client("a");
    cluster.revoke(7, &[&revoked]);
    let mut earlier = Held::default();
    earlier.consider(&cluster.inputs, Timestamp::now());
    let files = earlier.files().unwrap();

    cluster.revoke(6, &[]);
    let mut held = Held::default();
    held.inherit(Some(&files["participants-ca.crt"]), Some(&files["crl.pem"]), Timestamp::now());
    let findings = held.consider(&cluster.inputs, Timestamp::now());
    assert_eq!(words(&findings), [("revocations", "older revocation list")]);
    assert_eq!(held.files().unwrap()["crl.pem"], files["crl.pem"]);
}

#[test]
fn an_admin_certificate_is_no_participants() {
    let cluster = Cluster::new();
    let mut inputs = cluster.inputs.clone();
    change(&mut inputs.admin, "ca.crt", Some(&cluster.ca.pem()));
    let findings = Held::default().consider(&inputs, Timestamp::now());
    assert_eq!(words(&findings), [("admin-certificate", "damaged admin certificate")]);
    assert_ne!(cluster.admin.pem(), cluster.ca.pem());
}
