//! What a carrier's agent says to a seller, on `up`. All of it is sealed to the key of the seller's statement; what has to last is an event
//! of the agent's own chain, and a message only brings it sooner.

use minicbor::{Decode, Encode};

use crate::{
    fact::reason::closed_list,
    id::{Bytes, UnixMillis},
};

/// One message, as it is signed and sealed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub enum Message {
    /// To a hello: `Accepted` or `Rekeyed` is among the events, the same bytes for the same hello.
    #[n(0)]
    Answer {},
    /// To a hello: the agent does not take the job.
    #[n(1)]
    Declined {
        #[n(0)]
        reason: Decline,
    },
    /// The agent's events after the last the seller has seen. Not answered: the seller's next step is the answer.
    #[n(2)]
    News {},
    /// The agent is there and wants whatever is due. Answered by all that is.
    #[n(3)]
    Knock {},
    /// The agent has what this message is about, durably. Not answered.
    #[n(4)]
    Received {},
    /// Where the parcel is. Not answered, not stored; only the newest counts.
    #[n(5)]
    Position {
        /// Counts up through the attempt; an older one is dropped.
        #[n(0)]
        number: u64,
        /// By the agent's clock.
        #[n(1)]
        at: UnixMillis,
        /// Degrees times ten million.
        #[n(2)]
        latitude_e7: i32,
        #[n(3)]
        longitude_e7: i32,
        #[n(4)]
        accuracy_m: Option<u32>,
    },
    /// To a challenge: what only the agent of this attempt can say.
    #[n(6)]
    CourierAnswer {
        #[n(0)]
        challenge: Bytes,
        /// [`sign_courier_check`](crate::sign_courier_check).
        #[n(1)]
        signature: Bytes,
    },
}

closed_list! {
    /// Why an agent does not take a job.
    Decline {
        /// A photo or a scan is asked for, and it has no camera.
        0 NoCamera,
        1 NoCapacity,
        2 OutsideArea,
        3 WindowTooTight,
        /// No protocol version both sides speak.
        4 NoCommonVersion,
        5 Other,
    }
}
