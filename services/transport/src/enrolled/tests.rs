//! The agent's file: what it needs, what it refuses, and that nothing of a key is ever said.

use super::*;
use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

/// A folder with keys, a CA and a file, as an owner has them.
struct Owner {
    dir: tempfile::TempDir,
    text: String,
}

const SEED: [u8; 32] = [7; 32];

impl Owner {
    fn new() -> Self {
        let (key, mut params) = (rcgen::KeyPair::generate().unwrap(), rcgen::CertificateParams::default());
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let owner = |name: &str, bytes: &[u8]| renew::write(&dir.path().join(name), bytes).unwrap();
        owner("ca.crt", ca.pem().as_bytes());
        owner("tls.pem", rcgen::KeyPair::generate().unwrap().serialize_pem().as_bytes());
        owner("signing.pem", pkcs8(0x70, SEED).as_bytes());
        owner("sealing.key", &[9; 32]);
        let root = hex::encode(Sha256::digest(ca.der()));
        let text = format!(
            "namespace: shop\nname: van\nuid: dddddddd-0000-4000-8000-00000000000a\nbroker: broker.example:8883\n\
             carrierApi: https://carriers.example\nrootFingerprint: {root}\nca: ca.crt\nstate: state\nkind: drone\n\
             keys:\n  tls: tls.pem\n  signing: signing.pem\n  sealing: sealing.key\n"
        );
        Self { dir, text }
    }

    fn load(&self, text: &str) -> Result<Enrolled, Error> {
        let path = self.dir.path().join("agent.yaml");
        renew::write(&path, text.as_bytes()).unwrap();
        load(Cli::parse_from(["agent", "--config", path.to_str().unwrap()]).args)
    }

    fn refused(&self, from: &str, to: &str) -> String {
        assert!(self.text.contains(from), "{from}");
        let refused = self.load(&self.text.replace(from, to)).unwrap_err();
        report(&refused).to_string()
    }
}

fn pkcs8(algorithm: u8, key: [u8; 32]) -> String {
    use base64::Engine as _;
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, algorithm, 4, 0x22, 4, 0x20];
    der.extend(key);
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

#[test]
fn one_file_is_all_an_agent_outside_the_cluster_needs() {
    let owner = Owner::new();
    let Enrolled { args, who } = owner.load(&owner.text).unwrap();
    assert_eq!(
        (args.broker.as_deref(), args.renew, args.kind),
        (Some("broker.example:8883"), true, CarrierKind::Drone)
    );
    let identity = owner.dir.path().join("state/identity");
    assert_eq!(args.keys_dir, identity);
    assert_eq!(fs::read(identity.join("ed25519.seed")).unwrap(), SEED);
    assert_eq!(fs::read(identity.join("x25519.key")).unwrap(), [9; 32]);
    for name in ["ed25519.seed", "x25519.key", "tls.key"] {
        assert_eq!(fs::metadata(identity.join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    let who = who.unwrap();
    assert_eq!((who.uid.as_str(), who.name.as_str(), *who.seed), ("dddddddd-0000-4000-8000-00000000000a", "van", SEED));
}

#[test]
fn a_key_inside_the_file_counts_like_one_beside_it() {
    let owner = Owner::new();
    let inline = pkcs8(0x6e, [8; 32]).lines().map(|line| format!("    {line}\n")).collect::<String>();
    let text = owner.text.replace("sealing: sealing.key", &format!("sealing: |\n{inline}"));
    owner.load(&text).unwrap();
    assert_eq!(fs::read(owner.dir.path().join("state/identity/x25519.key")).unwrap(), [8; 32]);
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let owner = Owner::new();
    assert!(owner.refused("name: van", "name: van\nnmae: van").contains("nmae"));
    assert!(owner.refused("tls: tls.pem", "tls: tls.pem\n  tsl: x").contains("tsl"));
    assert!(owner.refused("namespace: shop\n", "").contains("namespace"));
    assert!(owner.refused("https://carriers", "http://carriers").contains("carrierApi"));
    assert!(owner.refused("broker.example:8883", "broker.example").contains("broker"));
    assert!(owner.refused("kind: drone", "kind: ship").contains("ship"));
    assert!(owner.refused("ca.crt", "tls.pem").contains("ca is not usable"));
    assert!(owner.refused("signing: signing.pem", "signing: tls.pem").contains("keys.signing"));
    assert!(owner.refused("signing.pem", "nowhere.pem").contains("nowhere.pem"));
}

#[test]
fn another_root_than_the_pinned_one_is_refused() {
    let owner = Owner::new();
    let other = Owner::new();
    fs::copy(other.dir.path().join("ca.crt"), owner.dir.path().join("ca.crt")).unwrap();
    assert!(report(&owner.load(&owner.text).unwrap_err()).to_string().contains("rootFingerprint"));
}

#[test]
fn a_bundle_that_grew_counts_more_than_the_files_until_the_file_names_another_root() {
    let owner = Owner::new();
    owner.load(&owner.text).unwrap();
    let kept = owner.dir.path().join("state/identity/ca.crt");
    renew::write(&kept, b"grown").unwrap();
    owner.load(&owner.text).unwrap();
    assert_eq!(fs::read(&kept).unwrap(), b"grown");
    let other = Owner::new();
    fs::copy(other.dir.path().join("ca.crt"), owner.dir.path().join("ca.crt")).unwrap();
    let line = |owner: &Owner| owner.text.lines().find(|line| line.starts_with("root")).unwrap().to_owned();
    owner.load(&owner.text.replace(&line(&owner), &line(&other))).unwrap();
    assert_ne!(fs::read(&kept).unwrap(), b"grown");
}

#[test]
fn secrets_that_others_can_read_are_refused_and_not_mended() {
    let owner = Owner::new();
    let expose = |name: &str, mode: u32| {
        fs::set_permissions(owner.dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    for (name, mode, private) in [("signing.pem", 0o640, 0o600), ("sealing.key", 0o604, 0o600)] {
        expose(name, mode);
        assert!(matches!(owner.load(&owner.text), Err(Error::Exposed { .. })), "{name}");
        expose(name, private);
    }
    owner.load(&owner.text).unwrap();
    expose("state", 0o755);
    assert!(matches!(owner.load(&owner.text), Err(Error::Exposed { .. })));
    expose("state", 0o700);
    // The file itself is no secret, unless a key stands in it.
    let path = owner.dir.path().join("agent.yaml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    load(Cli::parse_from(["agent", "--config", path.to_str().unwrap()]).args).unwrap();
    let inline = pkcs8(0x6e, [8; 32]).lines().map(|line| format!("    {line}\n")).collect::<String>();
    fs::write(&path, owner.text.replace("sealing: sealing.key", &format!("sealing: |\n{inline}"))).unwrap();
    let exposed = load(Cli::parse_from(["agent", "--config", path.to_str().unwrap()]).args).unwrap_err();
    assert!(matches!(exposed, Error::Exposed { .. }));
}

#[test]
fn no_refusal_says_anything_of_a_key() {
    let owner = Owner::new();
    let key = pkcs8(0x6e, [8; 32]);
    let quoted = key.lines().nth(1).unwrap().to_owned();
    let inline: String = key.lines().map(|line| format!("    {line}\n")).collect();
    let broken = owner.text.replace("sealing: sealing.key", &format!("sealing: |\n{inline}  more: [1"));
    let words = report(&owner.load(&broken).unwrap_err()).to_string();
    assert!(!words.contains(&quoted), "{words}");
}
