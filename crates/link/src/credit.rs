//! Link credit of a receiver as plain data. §2.6.7

use crate::{CreditMode, Replenish};

#[derive(Debug)]
pub(crate) struct Credit {
    mode: CreditMode,
    /// What the peer may still send, as told to it.
    left: u32,
    /// What it may send without being at fault: credit that was lowered may have been used before the peer knew. §2.6.7
    tolerated: u32,
    /// Deliveries that came in and have not made room again.
    held: u32,
    /// What the application set by hand.
    wanted: Option<u32>,
    drain: bool,
}

/// A peer sent a delivery for which it had no credit.
#[derive(Debug)]
pub(crate) struct Exceeded;

impl Credit {
    pub(crate) fn new(mode: CreditMode) -> Self {
        Self { mode, left: 0, tolerated: 0, held: 0, wanted: None, drain: false }
    }

    pub(crate) fn left(&self) -> u32 {
        self.left
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.drain
    }

    /// A delivery began to arrive.
    #[inline]
    pub(crate) fn spend(&mut self) -> Result<(), Exceeded> {
        self.tolerated = self.tolerated.checked_sub(1).ok_or(Exceeded)?;
        self.left = self.left.saturating_sub(1);
        self.held = self.held.saturating_add(1);
        Ok(())
    }

    /// Deliveries were taken or settled. Whether that makes room depends on the mode, and is returned.
    #[inline]
    pub(crate) fn make_room(&mut self, when: Replenish, deliveries: u32) -> bool {
        let makes = matches!(self.mode, CreditMode::Automatic { replenish, .. } if replenish == when);
        if makes {
            self.held = self.held.saturating_sub(deliveries);
        }
        makes
    }

    /// A delivery makes room in every mode.
    pub(crate) fn make_room_now(&mut self) {
        self.held = self.held.saturating_sub(1);
    }

    pub(crate) fn set_mode(&mut self, mode: CreditMode) {
        self.mode = mode;
    }

    /// Grants exactly this much from now on; automatic credit stops.
    pub(crate) fn set(&mut self, credit: u32) {
        self.mode = CreditMode::Manual;
        self.wanted = Some(credit);
    }

    /// Grants so much more, by hand.
    pub(crate) fn add(&mut self, credit: u32) {
        self.wanted = Some(self.wanted.unwrap_or(self.left).saturating_add(credit));
        self.mode = CreditMode::Manual;
    }

    pub(crate) fn start_drain(&mut self) {
        self.drain = true;
    }

    /// Whether the peer has been asked to use up its credit and has so much: then it may give it back in one go.
    pub(crate) fn may_give_back(&self, credit: u32) -> bool {
        self.drain && credit <= self.left
    }

    /// The peer has given back `credit` of what it had, without sending.
    pub(crate) fn give_back(&mut self, credit: u32) {
        self.left = self.left.saturating_sub(credit);
        self.tolerated = self.tolerated.saturating_sub(credit);
    }

    /// Ends a drain if the peer has used up its credit, by sending or by giving it back. Returns whether it has.
    #[inline]
    pub(crate) fn finish_drain(&mut self) -> bool {
        let finished = self.drain && self.left == 0 && self.wanted.is_none();
        self.drain &= !finished;
        finished
    }

    /// The credit to announce now, if it is worth a flow. A link that holds too many octets grants nothing more.
    #[inline(always)]
    pub(crate) fn due(&self, may_grow: bool) -> Option<u32> {
        if let Some(wanted) = self.wanted {
            return (may_grow || wanted <= self.left).then_some(wanted);
        }
        let CreditMode::Automatic { window, .. } = self.mode else {
            return None;
        };
        if self.drain || !may_grow {
            return None;
        }
        let used = self.held.saturating_add(self.left);
        // In steps of half a window; but a peer that has nothing left gets whatever there is.
        let worth = used < window && (self.left == 0 || used <= window / 2);
        worth.then(|| window.saturating_sub(self.held))
    }

    /// The credit was announced.
    pub(crate) fn announced(&mut self, credit: u32) {
        self.left = credit;
        self.tolerated = self.tolerated.max(credit);
        self.wanted = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn automatic(window: u32, replenish: Replenish) -> Credit {
        Credit::new(CreditMode::Automatic { window, replenish })
    }

    #[test]
    fn what_is_held_and_what_is_granted_never_exceed_the_window() {
        let mut credit = automatic(10, Replenish::Taken);
        assert_eq!(credit.due(true), Some(10));
        credit.announced(10);
        for _ in 0..10 {
            credit.spend().unwrap();
        }
        assert!(credit.spend().is_err());
        assert_eq!(credit.due(true), None);
        credit.make_room(Replenish::Settled, 1);
        assert_eq!(credit.due(true), None, "settling makes no room in this mode");
        credit.make_room(Replenish::Taken, 1);
        assert_eq!(credit.due(true), Some(1), "a peer without credit gets what there is");
        assert_eq!(credit.due(false), None);
        credit.announced(1);
        credit.make_room(Replenish::Taken, 1);
        assert_eq!(credit.due(true), None, "not worth a flow yet");
    }

    #[test]
    fn manual_credit_is_announced_once_and_may_shrink() {
        let mut credit = Credit::new(CreditMode::Manual);
        assert_eq!(credit.due(true), None);
        credit.set(5);
        assert_eq!(credit.due(true), Some(5));
        credit.announced(5);
        assert_eq!(credit.due(true), None);
        credit.set(0);
        assert_eq!(credit.due(false), Some(0));
        credit.announced(0);
        credit.add(2);
        credit.add(2);
        assert_eq!(credit.due(true), Some(4));
        credit.announced(4);
        for _ in 0..5 {
            credit.spend().unwrap();
        }
        assert!(credit.spend().is_err(), "5 may have left before the peer knew better");
        assert_eq!(credit.left(), 0);
    }
}
