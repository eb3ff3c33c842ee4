//! What can break, with its parameters, and the hand that breaks it.

mod hand;

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

pub(crate) use hand::{inject, prepare};

/// A part of the world that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Broker,
    /// The replica that was started first.
    Seller,
    Sellers,
    CarrierApi,
    Agents,
    /// All of them at one moment.
    All,
}

/// Who does not hear whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Between {
    SellersAndBroker,
    AgentsAndBroker,
    AgentsAndCarrierApi,
    /// Agents and everybody.
    AgentsAndAll,
    Everybody,
}

/// A part of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    ApiServer,
    Etcd,
}

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// `kill -9`, and started again after a while; several times over.
    Killed {
        part: Part,
        away: Duration,
        times: u32,
    },
    /// Whenever the log of one delivery is one longer, from its first entry to its last: killed, and started again at once.
    KilledAtEachStep {
        part: Part,
    },
    /// It stands still with its connections open.
    Frozen {
        part: Part,
        away: Duration,
    },
    /// Packets vanish: all of them, or so many in a hundred.
    Cut {
        between: Between,
        away: Duration,
        percent: u32,
    },
    /// Nothing is left of the broker but its settings.
    BrokerWiped {
        away: Duration,
    },
    /// Everybody gets a new leaf; who must connect anew shows it.
    LeafsRotated {
        broker_restarts: bool,
    },
    /// Another authority begins to issue.
    AuthorityRotated {
        broker_restarts: bool,
    },
    /// Carriers get new keys for signing and sealing.
    KeysRotated {
        agents_restart: bool,
    },
    /// An agent's device is replaced: all it had written down is gone.
    JournalLost {
        away: Duration,
    },
    /// The holder of the Lease stands still until another one holds it, then goes on as if nothing had been.
    TwoHolders,
    NodeKilled {
        part: Node,
    },
    NodeFrozen {
        part: Node,
        away: Duration,
    },
    /// No room for photos.
    PhotosFull {
        away: Duration,
    },
    /// No room for journals.
    JournalsFull {
        away: Duration,
        agents_killed: bool,
    },
}

const PARTS: [Part; 6] = [Part::Broker, Part::Seller, Part::Sellers, Part::CarrierApi, Part::Agents, Part::All];
const BETWEEN: [Between; 5] = [
    Between::SellersAndBroker,
    Between::AgentsAndBroker,
    Between::AgentsAndCarrierApi,
    Between::AgentsAndAll,
    Between::Everybody,
];

/// How many kinds [`Fault::draw`] goes through before it begins again.
pub(crate) const KINDS: usize = 31;

impl Fault {
    /// The fault of this turn: kinds go round, parameters are chance.
    pub(crate) fn draw(turn: usize, chance: &mut StdRng) -> Self {
        let millis = |chance: &mut StdRng, most: u64| Duration::from_millis(chance.random_range(50..most));
        match turn % KINDS {
            // Killing is what happens most.
            turn @ 0..6 => Self::Killed { part: PARTS[turn], away: millis(chance, 2_500), times: 1 },
            turn @ 6..12 if chance.random_bool(0.5) => Self::KilledAtEachStep { part: PARTS[turn - 6] },
            turn @ 6..12 => {
                Self::Killed { part: PARTS[turn - 6], away: millis(chance, 700), times: chance.random_range(2..6) }
            }
            12 => Self::Frozen { part: Part::Broker, away: millis(chance, 14_000) },
            13 => Self::Frozen { part: Part::CarrierApi, away: millis(chance, 14_000) },
            14 => Self::Frozen { part: PARTS[chance.random_range(1..6)], away: millis(chance, 8_000) },
            turn @ 15..20 => {
                let long = chance.random_bool(0.2);
                let away = millis(chance, if long { 25_000 } else { 6_000 });
                Self::Cut { between: BETWEEN[turn - 15], away, percent: 100 }
            }
            20 => {
                let between = BETWEEN[chance.random_range(0..BETWEEN.len())];
                Self::Cut { between, away: millis(chance, 6_000), percent: chance.random_range(10..60) }
            }
            21 => Self::BrokerWiped { away: millis(chance, 1_500) },
            22 => Self::LeafsRotated { broker_restarts: chance.random_bool(0.7) },
            23 => Self::AuthorityRotated { broker_restarts: chance.random_bool(0.7) },
            24 => Self::JournalLost { away: millis(chance, 1_000) },
            25 => Self::TwoHolders,
            26 if chance.random_bool(0.5) => Self::NodeKilled { part: Node::ApiServer },
            26 => Self::NodeKilled { part: Node::Etcd },
            27 => Self::NodeFrozen { part: Node::ApiServer, away: millis(chance, 6_000) },
            // Not with a restart: who is killed between its new keys and its first event with them has lost the old ones.
            28 => Self::KeysRotated { agents_restart: chance.random_bool(0.5) },
            29 => Self::PhotosFull { away: millis(chance, 5_000) },
            _ => Self::JournalsFull { away: millis(chance, 5_000), agents_killed: chance.random_bool(0.5) },
        }
    }

    /// One line of the summary.
    pub(crate) fn kind(self) -> String {
        match self {
            Self::None => "undisturbed".into(),
            Self::Killed { part, times: 1, .. } => format!("killed: {part:?}"),
            Self::Killed { part, .. } => format!("killed again and again: {part:?}"),
            Self::KilledAtEachStep { part } => format!("killed at each step: {part:?}"),
            Self::Frozen { part, .. } => format!("frozen: {part:?}"),
            Self::Cut { between, percent: 100, .. } => format!("cut: {between:?}"),
            Self::Cut { .. } => "packets lost".into(),
            Self::BrokerWiped { .. } => "broker wiped".into(),
            Self::LeafsRotated { .. } => "leafs rotated".into(),
            Self::AuthorityRotated { .. } => "authority rotated".into(),
            Self::KeysRotated { .. } => "carriers' keys rotated".into(),
            Self::JournalLost { .. } => "journals lost".into(),
            Self::TwoHolders => "two holders".into(),
            Self::NodeKilled { part } => format!("killed: {part:?}"),
            Self::NodeFrozen { part, .. } => format!("frozen: {part:?}"),
            Self::PhotosFull { .. } => "photo volume full".into(),
            Self::JournalsFull { .. } => "journal volume full".into(),
        }
    }

    /// Whether somebody may end by itself: who cannot write what it must not forget; it is started again.
    pub(crate) fn may_end_processes(self) -> bool {
        matches!(self, Self::JournalsFull { .. })
    }

    /// Whether other worlds would feel it too.
    pub(crate) fn is_everybodys(self) -> bool {
        matches!(self, Self::NodeKilled { .. } | Self::NodeFrozen { .. })
    }

    pub(crate) fn needs_two_sellers(self) -> bool {
        matches!(
            self,
            Self::TwoHolders
                | Self::Killed { part: Part::Seller | Part::Sellers, .. }
                | Self::KilledAtEachStep { part: Part::Seller | Part::Sellers }
                | Self::Frozen { part: Part::Seller, .. }
        )
    }
}
