//! Topics as types: `wb/<seller-uid>/<carrier-uid>/<delivery-uid>/{down,up}`. The only place where a topic is spelled.
//!
//! A participant's uid is the CN of its certificate, and the broker's ACL patterns are made of the same pieces: a seller reads and writes
//! below its own uid, a carrier below its own, each in its own direction, so no list of topics is kept anywhere.

use core::{fmt, str::FromStr};

use minicbor::{Decode, Encode};

use crate::id::{NameError, Uid};

const ROOT: &str = "wb";

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Direction {
    /// Seller to carrier.
    #[n(0)]
    Down,
    /// Carrier to seller.
    #[n(1)]
    Up,
}

/// The topic of one delivery in one direction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic {
    pub seller: Uid,
    pub carrier: Uid,
    pub delivery: Uid,
    pub direction: Direction,
}

/// What a participant subscribes to: everything that comes its way, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TopicFilter {
    /// `wb/<seller>/+/+/up`: all a seller receives.
    ToSeller(Uid),
    /// `wb/+/<carrier>/+/down`: all a carrier receives.
    ToCarrier(Uid),
}

/// Why a text is no topic of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    #[error("the topic is not wb/<seller>/<carrier>/<delivery>/<down|up>")]
    Shape,
    #[error("failed to read {what} in topic")]
    Name {
        what: &'static str,
        #[source]
        source: NameError,
    },
}

impl Direction {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Up => "up",
        }
    }
}

impl Topic {
    /// The same delivery the other way round: where the answer goes.
    pub fn reply(&self) -> Self {
        let direction = match self.direction {
            Direction::Down => Direction::Up,
            Direction::Up => Direction::Down,
        };
        Self { direction, ..self.clone() }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seller, carrier, delivery, direction } = self;
        write!(f, "{ROOT}/{seller}/{carrier}/{delivery}/{}", direction.as_str())
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let parts: Vec<&str> = text.split('/').collect();
        let [ROOT, seller, carrier, delivery, direction] = parts[..] else { return Err(TopicError::Shape) };
        let uid = |what, text: &str| Uid::new(text).map_err(|source| TopicError::Name { what, source });
        let direction = match direction {
            "down" => Direction::Down,
            "up" => Direction::Up,
            _ => return Err(TopicError::Shape),
        };
        let (seller, carrier, delivery) =
            (uid("seller", seller)?, uid("carrier", carrier)?, uid("delivery", delivery)?);
        Ok(Self { seller, carrier, delivery, direction })
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ToSeller(seller) => write!(f, "{ROOT}/{seller}/+/+/up"),
            Self::ToCarrier(carrier) => write!(f, "{ROOT}/+/{carrier}/+/down"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_topic_reads_as_it_is_written() {
        let topic = topic("s-1", "c-2", "d-3", Direction::Down);
        assert_eq!(topic.to_string(), "wb/s-1/c-2/d-3/down");
        assert_eq!(topic.reply().to_string(), "wb/s-1/c-2/d-3/up");
        assert_eq!(topic.reply().reply(), topic);
    }

    #[test]
    fn a_filter_takes_what_comes_its_way() {
        assert_eq!(TopicFilter::ToSeller(uid("s-1")).to_string(), "wb/s-1/+/+/up");
        assert_eq!(TopicFilter::ToCarrier(uid("c-2")).to_string(), "wb/+/c-2/+/down");
    }

    #[test]
    fn what_is_not_a_topic_is_refused() {
        for text in
            ["", "wb", "wb/a/b/c", "wb/a/b/c/down/x", "wb/a/b/c/Down", "bw/a/b/c/up", "/wb/a/b/c/up", "wb/a/b/c/up/"]
        {
            assert_eq!(text.parse::<Topic>(), Err(TopicError::Shape), "{text}");
        }
        for text in ["wb//b/c/up", "wb/+/b/c/up", "wb/a/#/c/up", "wb/a/b/$c/up", "wb/a/b/c c/up"] {
            assert!(matches!(text.parse::<Topic>(), Err(TopicError::Name { .. })), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_topic_survives_the_round_trip(
            seller in "[a-zA-Z0-9-]{1,64}", carrier in "[a-zA-Z0-9-]{1,64}", delivery in "[a-zA-Z0-9-]{1,64}", up: bool,
        ) {
            let topic = topic(&seller, &carrier, &delivery, if up { Direction::Up } else { Direction::Down });
            prop_assert_eq!(topic.to_string().parse(), Ok(topic));
        }

        #[test]
        fn what_parses_is_written_the_same(text in "\\PC*") {
            if let Ok(topic) = text.parse::<Topic>() {
                prop_assert_eq!(topic.to_string(), text);
            }
        }
    }

    // === helpers ===

    fn uid(text: &str) -> Uid {
        Uid::new(text).unwrap()
    }

    fn topic(seller: &str, carrier: &str, delivery: &str, direction: Direction) -> Topic {
        Topic { seller: uid(seller), carrier: uid(carrier), delivery: uid(delivery), direction }
    }
}
