//! The board's server certificate, from the participants' CA: whoever trusts a namespace's roots can check the board by them.

use jiff::{SignedDuration, Timestamp};

use super::ledger::{Kind, Owner};
use super::participant::tls;
use super::{Error, Inner, labels, names};

const NAME: &str = "waybill-board";
const TTL: SignedDuration = SignedDuration::from_hours(72);

/// Secret `waybill-board-tls`. Nothing where there is no board.
pub(crate) async fn ensure(inner: &Inner, now: Timestamp) -> Result<(), Error> {
    if !inner.settings.board {
        return Ok(());
    }
    let namespace = inner.settings.namespace.clone();
    let host = format!("{NAME}.{namespace}.svc");
    let owner = Owner { kind: Kind::Board, namespace, name: NAME.into(), uid: NAME.into() };
    let wanted = tls::Wanted {
        owner: &owner,
        controller: None,
        labels: labels::of("board"),
        secret: &names::secrets(Kind::Board, NAME).tls,
        names: names::served(&host, &inner.settings.board_external_names),
        usage: names::usage(Kind::Board),
        ttl: TTL,
        renew_before: None,
    };
    tls::ensure(inner, &wanted, now).await.map(drop)
}
