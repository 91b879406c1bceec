//! The code that is derived: calls to the readers and writers of amqp10-codec, no more.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Ident, Lifetime, Type};

use crate::input::{Field, Form, Input, Presence, Source, Variant};

/// Where errors about a type are shown; generated code nonetheless, so that no lint looks at it.
fn at(ty: &Type) -> Span {
    Span::call_site().located_at(ty.span())
}

/// The name of the variable that a field is decoded into.
fn variables(fields: &[Field]) -> Vec<Ident> {
    (0..fields.len()).map(|at| format_ident!("__field{at}")).collect()
}

pub(crate) fn decode(input: &Input) -> TokenStream {
    let (ident, codec) = (&input.ident, &input.codec);
    let life = input.life.clone().unwrap_or_else(|| Lifetime::new("'__input", ident.span()));
    let borrowing = input.life.as_ref().map(|life| quote!(<#life>));
    let descriptor = input.descriptor.as_ref().map(|descriptor| {
        let (name, code) = (&descriptor.name, &descriptor.code);
        quote! {
            let __constructor = #codec::expect_descriptor(__constructor, __reader, #name, #code)?;
        }
    });
    let body = match &input.form {
        Form::List(fields) => decode_list(input, fields),
        Form::Map { fields, .. } => decode_map(input, fields),
        Form::Newtype(ty) => quote_spanned! {at(ty)=>
            <#ty as #codec::Decode<#life>>::decode_data(__constructor, __reader).map(Self)
        },
        Form::Choice { source, variants } => decode_choice(input, *source, variants),
    };
    quote! {
        #[automatically_derived]
        impl<#life> #codec::Decode<#life> for #ident #borrowing {
            fn decode_data(
                __constructor: u8,
                __reader: &mut #codec::Reader<#life>,
            ) -> ::core::result::Result<Self, #codec::DecodeError> {
                #descriptor
                #body
            }
        }
    }
}

fn decode_list(input: &Input, fields: &[Field]) -> TokenStream {
    let codec = &input.codec;
    let variables = variables(fields);
    let reads = fields.iter().zip(&variables).map(|(field, variable)| {
        let (ty, name) = (&field.ty, &field.name);
        let read = match &field.presence {
            Presence::Mandatory => quote_spanned!(at(ty)=> __list.mandatory::<#ty>(#name)?),
            Presence::Optional(inner) => quote_spanned!(at(inner)=> __list.optional::<#inner>()?),
            Presence::Multiple => quote_spanned!(at(ty)=> __list.optional::<#ty>()?.unwrap_or_default()),
            Presence::Default(default) => {
                quote_spanned!(at(ty)=> __list.optional::<#ty>()?.unwrap_or_else(|| #default))
            }
        };
        quote!(let #variable = #read;)
    });
    let idents = fields.iter().map(|field| &field.ident);
    quote! {
        #[allow(unused_mut)]
        let mut __list = #codec::ListReader::open(__constructor, __reader)?;
        #(#reads)*
        __list.close()?;
        ::core::result::Result::Ok(Self { #(#idents: #variables,)* })
    }
}

fn decode_map(input: &Input, fields: &[Field]) -> TokenStream {
    let codec = &input.codec;
    let variables = variables(fields);
    let slots = fields.iter().zip(&variables).map(|(field, variable)| {
        let ty = match &field.presence {
            Presence::Optional(inner) => inner,
            _ => &field.ty,
        };
        quote!(let mut #variable = ::core::option::Option::None::<::core::option::Option<#ty>>;)
    });
    let values = fields.iter().zip(&variables).map(|(field, variable)| {
        let (ident, name) = (&field.ident, &field.name);
        let value = match &field.presence {
            Presence::Mandatory => quote!(__map.mandatory(#variable, #name)?),
            Presence::Optional(_) => quote!(#variable.flatten()),
            Presence::Multiple => quote!(#variable.flatten().unwrap_or_default()),
            Presence::Default(default) => quote!(#variable.flatten().unwrap_or_else(|| #default)),
        };
        quote!(#ident: #value)
    });
    let reads = fields.iter().zip(&variables).map(|(field, variable)| {
        let name = &field.name;
        quote_spanned!(at(&field.ty)=> #name => __map.value(&mut #variable)?,)
    });
    quote! {
        let mut __map = #codec::MapReader::open(__constructor, __reader)?;
        #(#slots)*
        while let ::core::option::Option::Some(__key) = __map.key()? {
            match __key {
                #(#reads)*
                _ => __map.skip()?,
            }
        }
        let __value = Self { #(#values,)* };
        __map.close()?;
        ::core::result::Result::Ok(__value)
    }
}

fn decode_choice(input: &Input, source: Source, variants: &[Variant]) -> TokenStream {
    let codec = &input.codec;
    let what = input.ident.to_string();
    let idents: Vec<_> = variants.iter().map(|variant| &variant.ident).collect();
    let values: Vec<_> = variants.iter().map(|variant| &variant.value).collect();
    let constants: Vec<_> = (0..variants.len()).map(|at| format_ident!("__VALUE{at}")).collect();
    let (ty, constant, found) = match source {
        Source::Number(number) => {
            let number = format_ident!("{number}");
            (quote!(#number), quote!(#number), quote!(__found))
        }
        Source::String => (quote!(&str), quote!(&str), quote!(__found)),
        Source::Symbol => (quote!(#codec::Symbol<'_>), quote!(&str), quote!(__found.as_str())),
    };
    quote! {
        #(const #constants: #constant = #values;)*
        let __at = __reader.offset();
        let __found = <#ty as #codec::Decode<'_>>::decode_data(__constructor, __reader)?;
        #[allow(unreachable_patterns)]
        match #found {
            #(#constants => ::core::result::Result::Ok(Self::#idents),)*
            _ => {
                let __kind = #codec::DecodeErrorKind::InvalidValue(#what);
                ::core::result::Result::Err(#codec::DecodeError::new(__kind, __at))
            }
        }
    }
}

pub(crate) fn encode(input: &Input) -> TokenStream {
    let (ident, codec) = (&input.ident, &input.codec);
    let borrowing = input.life.as_ref().map(|_| quote!(<'_>));
    let begin = match (&input.form, &input.descriptor) {
        // The writer of a list begins with its descriptor.
        (Form::List(_), _) | (_, None) => None,
        (_, Some(descriptor)) => {
            let code = &descriptor.code;
            Some(quote!(#codec::begin_described(#code, __out);))
        }
    };
    let body = match &input.form {
        Form::List(fields) => encode_list(input, fields),
        Form::Map { symbols, fields } => encode_map(input, *symbols, fields),
        Form::Newtype(ty) => quote_spanned!(at(ty)=> #codec::Encode::encode(&self.0, __out);),
        Form::Choice { source, variants } => encode_choice(input, *source, variants),
    };
    quote! {
        #[automatically_derived]
        impl #codec::Encode for #ident #borrowing {
            fn encode(&self, __out: &mut #codec::derived::Vec<u8>) {
                #begin
                #body
            }
        }
    }
}

fn encode_list(input: &Input, fields: &[Field]) -> TokenStream {
    let codec = &input.codec;
    let code = input.descriptor.as_ref().map(|descriptor| &descriptor.code);
    let writes = fields.iter().map(|field| {
        let (ident, ty) = (&field.ident, &field.ty);
        match &field.presence {
            Presence::Mandatory => quote_spanned!(at(ty)=> __list.field(&self.#ident);),
            Presence::Optional(_) => quote_spanned!(at(ty)=> __list.optional(self.#ident.as_ref());),
            Presence::Multiple => quote_spanned! {at(ty)=>
                if self.#ident.is_empty() { __list.null() } else { __list.field(&self.#ident) }
            },
            Presence::Default(default) => quote_spanned! {at(ty)=>
                if #codec::derived::same(&self.#ident, &#default) { __list.null() } else { __list.field(&self.#ident) }
            },
        }
    });
    quote! {
        #[allow(unused_mut)]
        let mut __list = #codec::ListWriter::described(#code, __out);
        #(#writes)*
        __list.close();
    }
}

fn encode_map(input: &Input, symbols: bool, fields: &[Field]) -> TokenStream {
    let codec = &input.codec;
    let writes = fields.iter().map(|field| {
        let (ident, ty, name) = (&field.ident, &field.ty, &field.name);
        let key = if symbols { quote!(&const { #codec::Symbol::from_static(#name) }) } else { quote!(#name) };
        match &field.presence {
            Presence::Mandatory => quote_spanned!(at(ty)=> __map.push(#key, &self.#ident);),
            Presence::Optional(_) => quote_spanned! {at(ty)=>
                if let ::core::option::Option::Some(__value) = &self.#ident {
                    __map.push(#key, __value);
                }
            },
            Presence::Multiple => quote_spanned! {at(ty)=>
                if !self.#ident.is_empty() {
                    __map.push(#key, &self.#ident);
                }
            },
            Presence::Default(default) => quote_spanned! {at(ty)=>
                if !#codec::derived::same(&self.#ident, &#default) {
                    __map.push(#key, &self.#ident);
                }
            },
        }
    });
    quote! {
        #[allow(unused_mut)]
        let mut __map = #codec::Map::new();
        #(#writes)*
        #codec::Encode::encode(&__map, __out);
    }
}

fn encode_choice(input: &Input, source: Source, variants: &[Variant]) -> TokenStream {
    let codec = &input.codec;
    let arms = variants.iter().map(|Variant { ident, value }| {
        let value = match source {
            Source::Number(ty) => {
                let ty = format_ident!("{ty}");
                quote!(&const { let __value: #ty = #value; __value })
            }
            Source::String => quote!(#value),
            Source::Symbol => quote!(&const { #codec::Symbol::from_static(#value) }),
        };
        quote!(Self::#ident => #codec::Encode::encode(#value, __out),)
    });
    quote!(match *self { #(#arms)* })
}

pub(crate) fn composite(input: &Input) -> TokenStream {
    let (ident, codec) = (&input.ident, &input.codec);
    let borrowing = input.life.as_ref().map(|_| quote!(<'_>));
    let Some(descriptor) = &input.descriptor else {
        let message = "a composite needs a descriptor, `#[amqp(name = \"…\", code = …)]`";
        return syn::Error::new(ident.span(), message).to_compile_error();
    };
    let (name, code) = (&descriptor.name, &descriptor.code);
    let fields = match &input.form {
        Form::List(fields) => fields.iter().map(|field| &field.name).collect(),
        _ => Vec::new(),
    };
    quote! {
        #[automatically_derived]
        impl #codec::Composite for #ident #borrowing {
            const NAME: &'static str = #name;
            const CODE: u64 = #code;
            const FIELDS: &'static [&'static str] = &[#(#fields),*];
        }
    }
}

pub(crate) fn into_owned(input: &Input) -> TokenStream {
    let (ident, codec) = (&input.ident, &input.codec);
    let borrowing = input.life.as_ref().map(|_| quote!(<'_>));
    let owning = input.life.as_ref().map(|_| quote!(<'static>));
    let body = match &input.form {
        Form::List(fields) | Form::Map { fields, .. } => {
            let values = fields.iter().map(
                |Field { ident, ty, .. }| quote_spanned!(at(ty)=> #ident: #codec::IntoOwned::into_owned(self.#ident)),
            );
            quote!(#ident { #(#values,)* })
        }
        Form::Newtype(ty) => quote_spanned!(at(ty)=> #ident(#codec::IntoOwned::into_owned(self.0))),
        Form::Choice { .. } => quote!(self),
    };
    quote! {
        #[automatically_derived]
        impl #codec::IntoOwned for #ident #borrowing {
            type Owned = #ident #owning;

            fn into_owned(self) -> Self::Owned {
                #body
            }
        }
    }
}
