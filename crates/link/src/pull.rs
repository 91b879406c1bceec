//! Getting one delivery, or knowing in time that there is none. §2.6.8

use std::time::Instant;

use crate::CommandError;
use crate::connection::Connection;
use crate::event::LinkEvent;
use crate::link::ReceiverEnd;
use crate::slots::LinkId;
use crate::timer::Timer;

impl Connection {
    /// Asks for one delivery until a deadline: grants credit for one, and drains that when the deadline has passed, so that a delivery
    /// that was on its way is not lost. Automatic credit stops. §2.6.8
    ///
    /// [`LinkEvent::Pulled`] tells the end, once, unless the link ends before. A pull that goes on gets the new deadline.
    ///
    /// # Errors
    /// When the link is not attached, or does not receive.
    pub fn pull(&mut self, id: LinkId, deadline: Instant) -> Result<(), CommandError> {
        let mut receiver =
            self.receiver(id).filter(|receiver| receiver.link.state.is_attached()).ok_or(CommandError::Gone)?;
        let end = receiver.link.receiver().ok_or(CommandError::Gone)?;
        let goes_on = end.pull.replace(deadline).is_some();
        if !goes_on {
            receiver.set_credit(1);
        }
        if !self.pulls.contains(&id.0) {
            self.pulls.push(id.0);
        }
        self.drain_pulls();
        Ok(())
    }

    /// Drains the links whose deadlines have passed, and waits for the next one.
    pub(crate) fn drain_pulls(&mut self) {
        let now = self.now;
        let mut next = None;
        for key in std::mem::take(&mut self.pulls) {
            let Some(mut receiver) = self.receiver(LinkId(key)).filter(|receiver| receiver.link.state.is_attached())
            else {
                continue;
            };
            let Some(deadline) = receiver.link.receiver().and_then(|end| end.pull) else {
                continue;
            };
            if deadline > now {
                next = Some(next.map_or(deadline, |next: Instant| next.min(deadline)));
                self.pulls.push(key);
            } else if receiver.link.receiver().is_some_and(|end| end.incoming.is_none() || end.credit.left() > 0) {
                receiver.drain();
            }
        }
        self.timers.set(Timer::Pull, next);
    }
}

impl ReceiverEnd {
    /// All that was granted for a pull has been used: by a delivery, or by one that came to nothing.
    #[cold]
    pub(crate) fn pull_is_used(&mut self, delivered: bool, drained: bool) -> Option<LinkEvent> {
        if delivered || drained {
            self.pull = None;
            return Some(LinkEvent::Pulled { delivered });
        }
        // There is time for another.
        self.credit.set(1);
        None
    }
}
