//! What is larger than a frame of the peer.

use amqp10_codec::{DeliveryState, FRAME_HEADER_SIZE, Fields, Modified, Outcome, Rejected, encode_to_vec};

use crate::CommandError;

/// The most octets that a flow takes besides its properties: header, every other field at its widest, and the transaction in which a
/// sender acquires, which it tells among them by itself.
const FLOW_OVERHEAD: usize = FRAME_HEADER_SIZE + 120;

/// Whether a flow with these properties fits into a frame of so many octets.
pub(crate) fn flow_fits(properties: &Fields<'_>, max_frame: u32) -> Result<(), CommandError> {
    let size = encode_to_vec(properties).len().saturating_add(FLOW_OVERHEAD);
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    if size > max_frame { Err(CommandError::FrameTooLarge(size)) } else { Ok(()) }
}

/// Leaves out of a state what makes it larger than `room`: first what explains an error, then all that is not the bare outcome. A peer
/// that takes small frames hears at least that.
#[inline]
pub(crate) fn fit(state: &mut Option<DeliveryState<'static>>, room: usize) {
    if !matches!(state, None | Some(DeliveryState::Accepted | DeliveryState::Released)) {
        fit_large(state, room);
    }
}

#[cold]
fn fit_large(state: &mut Option<DeliveryState<'static>>, room: usize) {
    while let Some(said) = state
        && encode_to_vec(said).len() > room
    {
        let shorter = match said {
            DeliveryState::Rejected(rejected) => shorten_rejected(rejected),
            DeliveryState::Modified(modified) => shorten_modified(modified),
            DeliveryState::Transactional(within) => match &mut within.outcome {
                Some(Outcome::Rejected(rejected)) => shorten_rejected(rejected),
                Some(Outcome::Modified(modified)) => shorten_modified(modified),
                _ => false,
            },
            // Nobody here knows what may be left out of it.
            _ => false,
        };
        if !shorter {
            *state = None;
        }
    }
}

fn shorten_rejected(rejected: &mut Rejected<'_>) -> bool {
    match &mut rejected.error {
        Some(error) if error.description.is_some() || error.info.is_some() => {
            (error.description, error.info) = (None, None);
            true
        }
        error => error.take().is_some(),
    }
}

fn shorten_modified(modified: &mut Modified<'_>) -> bool {
    modified.message_annotations.take().is_some()
}
