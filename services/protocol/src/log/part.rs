//! The agent's check of a part of the address: released, open, and what the seller committed to.

use super::Log;
use crate::{
    codec::WireError,
    commitment::{Salt, commitment},
    fact::Fact,
    id::EventId,
    part::Part,
    phase::Stage,
};

/// Why a part is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    #[error("event {0} releases nothing in this log")]
    NotReleased(EventId),
    #[error("the {0} part is not open now")]
    NotOpen(Stage),
    #[error("failed to read part: {0}")]
    Wire(#[source] WireError),
    #[error("the {got} part came for the {expected} part")]
    WrongStage { expected: Stage, got: Stage },
    #[error("the {0} part is not what the seller committed to")]
    NotAsCommitted(Stage),
}

impl Log {
    /// Checks a part that came with the event that released it. What it returns is the part to post.
    pub fn check_part(&self, released: &EventId, part: &[u8], salt: &Salt) -> Result<Part, PartError> {
        let fact = self.event(released).map(|signed| &signed.event().fact);
        let Some(&Fact::Released { stage, .. }) = fact else { return Err(PartError::NotReleased(*released)) };
        if self.stage() < Some(stage) {
            return Err(PartError::NotOpen(stage));
        }
        let part = Part::decode(part).map_err(PartError::Wire)?;
        if part.stage() != stage {
            return Err(PartError::WrongStage { expected: stage, got: part.stage() });
        }
        let committed = self.state().commitments().map(|commitments| commitments.of(stage));
        if committed != Some(commitment(&self.subject().delivery, &part, salt)) {
            return Err(PartError::NotAsCommitted(stage));
        }
        Ok(part)
    }
}
