//! States that are larger than a frame of the peer.

use amqp10_codec::{DeliveryState, Modified, Outcome, Rejected, encode_to_vec};

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
