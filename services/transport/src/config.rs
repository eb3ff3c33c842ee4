//! Every setting of the transport: a flag, an environment variable and a line of help each. Nothing else reads the
//! environment.

use std::path::PathBuf;

use waybill_chassis::probes::ProbeArgs;
use waybill_chassis::telemetry::LogArgs;
use waybill_crds::carrier::{CarrierKind, Step};
use waybill_crds::duration::Duration;

/// A carrier's agent: speaks with sellers through the broker; needs no access to any cluster
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The broker's listener for carriers; as published in the trust folder unless given
    #[arg(long, env = "WAYBILL_BROKER", value_name = "HOST:PORT")]
    pub broker: Option<String>,

    /// The Carrier API; as published in the trust folder unless given
    #[arg(long, env = "WAYBILL_CARRIER_API", value_name = "URL")]
    pub carrier_api: Option<String>,

    /// Folder with tls.crt, tls.key and ca.crt; followed while running
    #[arg(long, env = "WAYBILL_TLS_DIR", default_value = "/etc/waybill/tls", value_name = "DIR")]
    pub tls_dir: PathBuf,

    /// Folder with ed25519.seed, x25519.key and statement; followed while running
    #[arg(long, env = "WAYBILL_KEYS_DIR", default_value = "/etc/waybill/keys", value_name = "DIR")]
    pub keys_dir: PathBuf,

    /// Folder with the published trust (ca.crt, former-ca.crt, revoked.json, broker, carrier-api); followed while running
    #[arg(long, env = "WAYBILL_TRUST_DIR", default_value = "/etc/waybill/trust", value_name = "DIR")]
    pub trust_dir: PathBuf,

    /// Folder of the journals: what is said leaves only after it is there
    #[arg(long, env = "WAYBILL_JOURNAL_DIR", default_value = "/var/lib/waybill/journal", value_name = "DIR")]
    pub journal_dir: PathBuf,

    /// Renew certificate and statement through the Carrier API, into the folders above: for an agent no cluster reaches
    #[arg(long, env = "WAYBILL_RENEW", default_value_t = false, action = clap::ArgAction::Set)]
    pub renew: bool,

    /// One file instead of these settings and folders, for an agent outside any cluster
    #[arg(long, env = "WAYBILL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Socket for whoever carries: deliveries, taps, positions; without a script nothing then happens by itself
    #[arg(long, env = "WAYBILL_TAPS", value_name = "SOCKET")]
    pub taps: Option<PathBuf>,

    /// What moves the parcel: truck, drone or person
    #[arg(long, env = "WAYBILL_KIND", default_value = "truck", value_name = "KIND", value_parser = kind)]
    pub kind: CarrierKind,

    /// Whether there is a camera: labels can be scanned and proof pictures taken
    #[arg(long, env = "WAYBILL_CAMERA", default_value_t = false, action = clap::ArgAction::Set)]
    pub camera: bool,

    /// Folder into which a device puts its pictures; without one pictures are drawn
    #[arg(long, env = "WAYBILL_CAMERA_DIR", value_name = "DIR")]
    pub camera_dir: Option<PathBuf>,

    /// How long each leg takes, such as 2s; 0s means at once
    #[arg(long, env = "WAYBILL_PACE", default_value = "1s", value_name = "DURATION")]
    pub pace: Duration,

    /// How attempts end, in their order, as JSON; after the last entry it delivers
    #[arg(long, env = "WAYBILL_SCRIPT", default_value = "[]", value_name = "JSON", value_parser = script)]
    pub script: Script,

    #[command(flatten)]
    pub probes: ProbeArgs,

    #[command(flatten)]
    pub log: LogArgs,
}

/// How attempts end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Script(pub Vec<Step>);

fn script(text: &str) -> Result<Script, serde_json::Error> {
    serde_json::from_str(text).map(Script)
}

fn kind(text: &str) -> Result<CarrierKind, serde_json::Error> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn settings_are_read_as_the_operator_writes_them() {
        let script = r#"[{"outcome":"attemptFailed","reason":{"cause":"recipient","what":"recipientAbsent"}}]"#;
        let line = ["x", "--kind", "drone", "--camera", "true", "--pace", "1m30s", "--script", script];
        let args = Cli::parse_from(line).args;
        assert_eq!((args.kind, args.camera, args.pace.get().as_secs()), (CarrierKind::Drone, true, 90));
        assert_eq!(args.script.0.len(), 1);
        for wrong in [["--kind", "ship"], ["--script", "{}"], ["--pace", "soon"], ["--camera", "maybe"]] {
            assert!(Cli::try_parse_from(["x", wrong[0], wrong[1]]).is_err(), "{wrong:?}");
        }
    }
}
