#![doc = include_str!("../README.md")]

mod expand;
mod input;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

fn derive(item: TokenStream, expand: fn(&input::Input) -> proc_macro2::TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    input::Input::new(&item).map_or_else(|error| error.to_compile_error(), |input| expand(&input)).into()
}

/// Derives `Encode`.
#[proc_macro_derive(Encode, attributes(amqp))]
pub fn encode(item: TokenStream) -> TokenStream {
    derive(item, expand::encode)
}

/// Derives `Decode`.
#[proc_macro_derive(Decode, attributes(amqp))]
pub fn decode(item: TokenStream) -> TokenStream {
    derive(item, expand::decode)
}

/// Derives `Composite`, the descriptor as constants.
#[proc_macro_derive(Composite, attributes(amqp))]
pub fn composite(item: TokenStream) -> TokenStream {
    derive(item, expand::composite)
}

/// Derives `IntoOwned`.
#[proc_macro_derive(IntoOwned, attributes(amqp))]
pub fn into_owned(item: TokenStream) -> TokenStream {
    derive(item, expand::into_owned)
}
