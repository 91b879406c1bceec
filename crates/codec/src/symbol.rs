//! Symbols of a domain that others may extend: names for the standard ones, and room for the rest.

/// Declares a restricted type over symbol, §1.1.4, whose values are not limited to those of the specification.
macro_rules! open_symbols {
    ($(
        $(#[$doc:meta])*
        pub struct $type:ident { $( $(#[$name_doc:meta])* $name:ident = $symbol:literal; )* }
    )*) => { $(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub struct $type<'a>($crate::Symbol<'a>);

        impl $type<'static> {
            $( $(#[$name_doc])* pub const $name: Self = Self($crate::Symbol::from_static($symbol)); )*
        }

        impl<'a> $type<'a> {
            /// One that the specification does not define.
            pub const fn custom(symbol: $crate::Symbol<'a>) -> Self {
                Self(symbol)
            }

            /// The symbol as text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl core::fmt::Debug for $type<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl core::fmt::Display for $type<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl<'a> From<$type<'a>> for $crate::Symbol<'a> {
            fn from(value: $type<'a>) -> Self {
                value.0
            }
        }

        impl<'a> $crate::Decode<'a> for $type<'a> {
            fn decode_data(constructor: u8, reader: &mut $crate::Reader<'a>) -> Result<Self, $crate::DecodeError> {
                $crate::Symbol::decode_data(constructor, reader).map(Self)
            }
        }

        impl $crate::Encode for $type<'_> {
            fn encode(&self, out: &mut alloc::vec::Vec<u8>) {
                self.0.encode(out);
            }
        }

        impl $crate::ArrayElement for $type<'_> {
            const CONSTRUCTOR: u8 = <$crate::Symbol<'_> as $crate::ArrayElement>::CONSTRUCTOR;
        }

        impl $crate::IntoOwned for $type<'_> {
            type Owned = $type<'static>;

            fn into_owned(self) -> $type<'static> {
                $type(self.0.into_owned())
            }
        }
    )* };
}
pub(crate) use open_symbols;
