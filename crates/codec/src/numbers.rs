//! Wire numbers that must not be mixed up, §2.8.

use alloc::vec::Vec;

use crate::codec::owned_already;
use crate::{Decode, DecodeError, Encode, Reader};

/// A newtype around a primitive, decoded and encoded as that.
macro_rules! number {
    ($($(#[$doc:meta])* $name:ident($inner:ty) $(: $order:ident)?;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash $(, $order, Ord)?)]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub struct $name(pub $inner);

        impl<'a> Decode<'a> for $name {
            #[inline(always)]
            fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
                <$inner>::decode_data(constructor, reader).map(Self)
            }
        }

        impl Encode for $name {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                self.0.encode(out);
            }
        }

        owned_already!($name);
    )* };
}

number! {
    /// The number of a link in one direction of a session. §2.8.4
    Handle(u32): PartialOrd;
    /// The number of a session in one direction of a connection. §2.1
    Channel(u16): PartialOrd;
    /// A span in milliseconds. §2.8.6
    Milliseconds(u32): PartialOrd;
    /// A span in seconds. §2.8.5
    Seconds(u32): PartialOrd;
    /// How the payload of a delivery is laid out; 0 is the format of Part 3. §2.8.11
    MessageFormat(u32): PartialOrd;
    /// Numbers deliveries in one direction of a session. §2.8.8
    DeliveryNumber(u32);
    /// Numbers transfer frames in one direction of a session. §2.8.9
    TransferNumber(u32);
    /// Counts deliveries of a link. §2.8.10
    SequenceNo(u32);
}

/// RFC 1982 arithmetic. The order is not transitive, so there is neither `Ord` nor `PartialOrd`.
macro_rules! serial {
    ($($name:ident),*) => { $(
        impl $name {
            /// The number after this one; wraps at 2^32.
            #[inline]
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.wrapping_add(1))
            }

            /// The number `n` after this one; wraps at 2^32.
            #[inline]
            #[must_use]
            pub const fn plus(self, n: u32) -> Self {
                Self(self.0.wrapping_add(n))
            }

            /// How far this number is ahead of `earlier`; negative if it is behind.
            #[inline]
            #[must_use]
            pub const fn ahead_of(self, earlier: Self) -> i32 {
                self.0.wrapping_sub(earlier.0) as i32
            }

            /// How often [`next`](Self::next) leads from `earlier` to this number; below 2^32.
            #[inline]
            #[must_use]
            pub const fn beyond(self, earlier: Self) -> u32 {
                self.0.wrapping_sub(earlier.0)
            }

            /// Whether this number comes before `later`.
            #[inline]
            #[must_use]
            pub const fn precedes(self, later: Self) -> bool {
                later.ahead_of(self) > 0
            }
        }
    )* };
}

serial!(DeliveryNumber, TransferNumber, SequenceNo);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_wrap() {
        let last = DeliveryNumber(u32::MAX);
        assert_eq!(last.next(), DeliveryNumber(0));
        assert!(last.precedes(DeliveryNumber(2)));
        assert!(!DeliveryNumber(2).precedes(last));
        assert_eq!(DeliveryNumber(2).ahead_of(last), 3);
        assert_eq!(last.ahead_of(DeliveryNumber(2)), -3);
        assert_eq!(DeliveryNumber(2).beyond(last), 3);
        assert_eq!(last.beyond(DeliveryNumber(2)), u32::MAX - 2);
    }
}
