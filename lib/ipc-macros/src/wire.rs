//! `#[derive(Wire)]`: fields in order, enums as the variant's number and its fields.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Fields, Ident, Member, Result, Type};

/// Most variants of an enum: the number travels in a byte.
const MAX_VARIANTS: usize = 256;

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "`Wire` types cannot be generic"));
    }
    let shape = match &input.data {
        Data::Struct(data) => structure(&data.fields),
        Data::Enum(data) => {
            if data.variants.is_empty() || data.variants.len() > MAX_VARIANTS {
                return Err(Error::new_spanned(&input.ident, "a `Wire` enum has 1 to 256 variants"));
            }
            enumeration(data)
        }
        Data::Union(_) => {
            return Err(Error::new_spanned(&input.ident, "a union cannot be decoded"));
        }
    };
    let name = &input.ident;
    let Shape { words, capabilities, encode, decode } = shape;
    Ok(quote! {
        impl ::ipc::Encode for #name {
            const WORDS: usize = #words;
            const CAPABILITIES: usize = #capabilities;
            #[inline(always)]
            fn encode<Sink: ::ipc::wire::Sink>(&self, sink: &mut Sink) {
                let _ = &sink;
                #encode
            }
        }
        impl ::ipc::Decode for #name {
            #[inline(always)]
            fn decode<Source: ::ipc::wire::Source>(
                source: &mut Source,
            ) -> ::core::result::Result<Self, ::ipc::DecodeError> {
                let _ = &source;
                #decode
            }
        }
    })
}

struct Shape {
    words: TokenStream,
    capabilities: TokenStream,
    encode: TokenStream,
    decode: TokenStream,
}

fn members(fields: &Fields) -> Vec<(Member, Ident, &Type)> {
    fields
        .iter()
        .zip(fields.members())
        .enumerate()
        .map(|(index, (field, member))| (member, format_ident!("field_{index}"), &field.ty))
        .collect()
}

fn sum(fields: &Fields, constant: &str) -> TokenStream {
    let constant = format_ident!("{constant}");
    let terms = fields.iter().map(|field| {
        let ty = &field.ty;
        quote! { + <#ty as ::ipc::Encode>::#constant }
    });
    quote! { 0 #(#terms)* }
}

fn structure(fields: &Fields) -> Shape {
    let members = members(fields);
    let encode = members.iter().map(|(member, _, _)| {
        quote! { ::ipc::Encode::encode(&self.#member, sink); }
    });
    let decode = members.iter().map(|(member, _, ty)| {
        quote! { #member: <#ty as ::ipc::Decode>::decode(source)? }
    });
    Shape {
        words: sum(fields, "WORDS"),
        capabilities: sum(fields, "CAPABILITIES"),
        encode: quote! { #(#encode)* },
        decode: quote! { Ok(Self { #(#decode),* }) },
    }
}

fn enumeration(data: &syn::DataEnum) -> Shape {
    let largest = |constant: &str| {
        data.variants.iter().fold(quote! { 0 }, |largest, variant| {
            let sum = sum(&variant.fields, constant);
            quote! { ::ipc::wire::max(#largest, #sum) }
        })
    };
    let (words, capabilities) = (largest("WORDS"), largest("CAPABILITIES"));
    let arms = data.variants.iter().enumerate().map(|(number, variant)| {
        let (name, number) = (&variant.ident, number as u64);
        let members = members(&variant.fields);
        let bind = members.iter().map(|(member, bound, _)| quote! { #member: #bound });
        let encode = members.iter().map(|(_, bound, _)| {
            quote! { ::ipc::Encode::encode(#bound, sink); }
        });
        quote! { Self::#name { #(#bind),* } => { sink.integer(#number, 1); #(#encode)* } }
    });
    let encode = quote! { match self { #(#arms)* } };
    let arms = data.variants.iter().enumerate().map(|(number, variant)| {
        let (name, number) = (&variant.ident, number as u64);
        let decode = members(&variant.fields).into_iter().map(|(member, _, ty)| {
            quote! { #member: <#ty as ::ipc::Decode>::decode(source)? }
        });
        quote! { #number => Ok(Self::#name { #(#decode),* }), }
    });
    let decode = quote! {
        match source.integer(1)? { #(#arms)* _ => Err(::ipc::DecodeError::Malformed) }
    };
    Shape { words: quote! { 1 + #words }, capabilities, encode, decode }
}
