//! The strict reading of performatives: everything inside them is looked at.

use crate::keys::MapRule;
use crate::limits::Budget;
use crate::{
    Attach, DecodeError, DeliveryState, Error, Fields, Limits, Map, Outcome, Performative, Source, SourceArchetype,
    Target, TargetArchetype, Value,
};

/// Something that can be looked at as a whole.
trait Check {
    fn check(&self, budget: &mut Budget) -> Result<(), DecodeError>;
}

impl<T: Check> Check for Option<T> {
    fn check(&self, budget: &mut Budget) -> Result<(), DecodeError> {
        self.as_ref().map_or(Ok(()), |value| value.check(budget))
    }
}

/// Every map that is not told to be another one has the keys of fields.
impl Check for Fields<'_> {
    fn check(&self, budget: &mut Budget) -> Result<(), DecodeError> {
        Map::check(self, MapRule::Fields, budget)
    }
}

impl Check for Value<'_> {
    fn check(&self, budget: &mut Budget) -> Result<(), DecodeError> {
        Value::check(self, budget)
    }
}

impl Check for Error<'_> {
    fn check(&self, budget: &mut Budget) -> Result<(), DecodeError> {
        self.info.check(budget)
    }
}

impl Check for DeliveryState<'_> {
    fn check(&self, budget: &mut Budget) -> Result<(), DecodeError> {
        match self {
            Self::Rejected(state) => state.error.check(budget),
            Self::Modified(state) => state.message_annotations.check(budget),
            Self::Transactional(state) => state.outcome.check(budget),
            Self::Other(state) => state.check(budget),
            Self::Received(_) | Self::Accepted | Self::Released | Self::Declared(_) => Ok(()),
        }
    }
}

impl Check for Outcome<'_> {
    fn check(&self, budget: &mut Budget) -> Result<(), DecodeError> {
        match self {
            Self::Rejected(state) => state.error.check(budget),
            Self::Modified(state) => state.message_annotations.check(budget),
            Self::Other(state) => state.check(budget),
            Self::Accepted | Self::Released | Self::Declared(_) => Ok(()),
        }
    }
}

impl Check for Source<'_> {
    fn check(&self, budget: &mut Budget) -> Result<(), DecodeError> {
        self.address.check(budget)?;
        self.dynamic_node_properties.check(budget)?;
        if let Some(filter) = &self.filter {
            filter.check(MapRule::FilterSet, budget)?;
        }
        self.default_outcome.check(budget)
    }
}

impl Check for Target<'_> {
    fn check(&self, budget: &mut Budget) -> Result<(), DecodeError> {
        self.address.check(budget)?;
        self.dynamic_node_properties.check(budget)
    }
}

impl Check for SourceArchetype<'_> {
    fn check(&self, budget: &mut Budget) -> Result<(), DecodeError> {
        match self {
            Self::Source(source) => source.check(budget),
            Self::Other(other) => other.check(budget),
        }
    }
}

impl Check for TargetArchetype<'_> {
    fn check(&self, budget: &mut Budget) -> Result<(), DecodeError> {
        match self {
            Self::Target(target) => target.check(budget),
            Self::Coordinator(_) => Ok(()),
            Self::Other(other) => other.check(budget),
        }
    }
}

impl Check for Attach<'_> {
    fn check(&self, budget: &mut Budget) -> Result<(), DecodeError> {
        self.source.check(budget)?;
        self.target.check(budget)?;
        if let Some(unsettled) = &self.unsettled {
            unsettled.check(MapRule::Unsettled, budget)?;
        }
        self.properties.check(budget)
    }
}

impl Performative<'_> {
    /// Decodes what decoding the performative has left as it came: all maps and values in it.
    ///
    /// Fields and node-properties must have symbols as keys, §2.8.13; filters must be null or described, §3.5.8; the unsettled
    /// map goes from delivery-tags to delivery-states, §2.7.3; no key may stand in a map twice, §1.6.23.
    ///
    /// # Errors
    /// When something is malformed, breaks one of these rules, or is beyond the [default limits](Limits).
    pub fn validate(&self) -> Result<(), DecodeError> {
        self.validate_within(&Limits::default())
    }

    /// The same within limits of the caller's own.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn validate_within(&self, limits: &Limits) -> Result<(), DecodeError> {
        let budget = &mut Budget::new(limits);
        match self {
            Self::Open(open) => open.properties.check(budget),
            Self::Begin(begin) => begin.properties.check(budget),
            Self::Attach(attach) => attach.check(budget),
            Self::Flow(flow) => flow.properties.check(budget),
            Self::Transfer(transfer) => transfer.state.check(budget),
            Self::Disposition(disposition) => disposition.state.check(budget),
            Self::Detach(detach) => detach.error.check(budget),
            Self::End(end) => end.error.check(budget),
            Self::Close(close) => close.error.check(budget),
        }
    }
}
